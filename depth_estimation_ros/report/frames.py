# SPDX-License-Identifier: Apache-2.0
"""What became of the frames, and the sections that every stream of depth has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from .collect import Collected, Moment
from .description import Gallery, Rgb, Sample, Section, Series, Table

Images = Mapping[int, Rgb]
"""The images of the frames that are shown, by number, in the size of their depth."""


def frames_table(accounts: Mapping[str, Mapping[str, Any]]) -> Table:
    """
    Return the frames of each source by what became of them.

    :param accounts: by source, as :meth:`offline.account.Account.as_json` gives them.
    """
    rows: list[Sequence[str]] = []
    for name, account in accounts.items():
        received, words = int(account['received']), account.get('explanations', {})
        rows += [(name, 'received', str(received), '', ''),
                 (name, 'with depth', *_part(account['published'], received), '')]
        rows += [(name, f'dropped: {reason}', *_part(count, received), words.get(reason, ''))
                 for reason, count in sorted(account['dropped'].items())]
    head = 'Source', 'Outcome', 'Frames', 'Share', 'Last reason'
    used = len(head) - (not any(row[-1] for row in rows))
    return Table('Frames', head[:used], [row[:used] for row in rows])


def _part(count: int, whole: int) -> tuple[str, str]:
    return str(count), f'{count / whole:.1%}' if whole else ''


def facts_of(collected: Collected) -> dict[str, str]:
    """Return the totals of a stream of depth."""
    facts = {'Frames with depth': str(collected.frames),
             'Pixels with a distance': f'{collected.known:.1%}',
             'Median distance': f'{collected.quantile(0.5):.2f} m',
             'Distances, 1 % to 99 %':
                 f'{collected.quantile(0.01):.2f} to {collected.quantile(0.99):.2f} m'}
    errors = np.asarray(collected.abs_rel)
    if np.isfinite(errors).any():
        facts['AbsRel'] = (f'{np.nanmean(errors):.4f}, mean of '
                           f'{np.count_nonzero(np.isfinite(errors))} frames')
    return facts


def sections_of(collected: Collected, images: Images, prefix: str = '',
                timing: Series | None = None) -> list[Section]:
    """
    Return the plots and frames of a stream of depth.

    :param prefix: what the titles begin with, where a page has several streams.
    :param timing: latency or gaps.
    """
    plots = [timing, _unknown(collected, prefix), _errors(collected, prefix),
             collected.histogram(f'{prefix}Histogram of depth')]
    drawn: list[Section] = [plot for plot in plots if plot is not None]
    return [*drawn, *_galleries(collected, images, prefix)]


def _unknown(collected: Collected, prefix: str) -> Series | None:
    percent = {name: (100 * np.asarray(shares)).tolist() for name, shares in (
        ('unknown (NaN)', collected.unknown), ('out of range (Inf)', collected.outside))
        if name.startswith('unknown') or any(shares)}
    return Series(f'{prefix}Pixels without a distance', collected.places, percent,
                  '% of pixels', axis=collected.axis) if collected.frames else None


def _errors(collected: Collected, prefix: str) -> Series | None:
    if not np.isfinite(collected.abs_rel).any():
        return None
    return Series(f'{prefix}Error against ground truth', collected.places,
                  {'AbsRel': collected.abs_rel}, 'AbsRel', ' '.join(collected.remarks),
                  collected.axis)


def _galleries(collected: Collected, images: Images, prefix: str) -> Iterator[Gallery]:
    even, unknown, wrong = (collected.even.moments, collected.most_unknown.moments,
                            collected.most_wrong.moments)
    for title, moments, label in (
            ('Frames, evenly spaced', even, _error if wrong else _share),
            ('Worst frames: most unknown', unknown, _share),
            ('Worst frames: highest AbsRel', wrong, _error)):
        if moments:
            yield Gallery(prefix + title, [
                _sample(collected, moment, label(moment), images.get(moment.number))
                for moment in moments])


def _share(moment: Moment) -> str:
    return f', unknown {moment.unknown:.1%}'


def _error(moment: Moment) -> str:
    return f', AbsRel {moment.abs_rel:.3f}' if np.isfinite(moment.abs_rel) else ''


def _sample(collected: Collected, moment: Moment, label: str, image: Rgb | None) -> Sample:
    name = moment.name or f'frame {moment.number}'
    seconds, nanoseconds = divmod(moment.stamp, 10**9)
    caption = (f'{name}, {collected.places[moment.number]:.2f} s, stamp '
               f'{seconds}.{nanoseconds:09d}' if moment.stamp else name)
    return Sample(f'{name}{label}', f'{caption}{_share(moment)}{_error(moment)}', moment.depth,
                  moment.truth, image, moment.step)


def thumbnail(image: Rgb, shape: tuple[int, ...]) -> Rgb:
    """Return an image in the size of a map."""
    return np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA),
                      np.uint8)
