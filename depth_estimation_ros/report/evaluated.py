# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison with ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.evaluation.evaluation import COLUMNS, MASKED, ROWS, Evaluation
from ..core.reference_pairs import nearest_pixels
from .collect import WIDEST
from .description import Bars, Depth, Gallery, Report, Rgb, Sample, Section, Series, Table
from .frames import thumbnail

HEADS = {'abs_rel': 'AbsRel', 'rmse_m': 'RMSE, m', 'silog': 'SILog', 'delta1': 'delta1'}
"""The columns of the table."""

Example = tuple[Rgb | None, Depth, Depth]


def evaluation_page(figures: Mapping[str, Any], evaluation: Evaluation,
                    example: Example) -> Report:
    """
    Describe an evaluation.

    :param figures: what evaluation.json holds.
    :param evaluation: without alignment.
    :param example: an image, its prediction and its truth.
    """
    facts = {'Source': figures['source'], 'Image': figures['image'], 'Truth': figures['truth'],
             'Model': figures['model'], 'Protocol': evaluation.protocol.describe(),
             'Images with truth': str(figures['images']),
             'Images without truth': str(figures['images_without_truth']),
             'Truth that has a prediction': f'{evaluation.coverage:.1%}',
             'Truth / prediction, median': f'{evaluation.median_ratio:.3f}'}
    groups = figures['errors']['not_aligned']['per_image']
    aligned = figures['errors']['median_aligned']['per_image']['all']
    return Report(f'Depth error of {figures["model"]}', facts, [
        _table({'all': groups['all'], 'all, median aligned': aligned, **groups}),
        _over_images(evaluation), *_bars(evaluation), _example(*example)], figures['notes'])


def _table(groups: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [(name, *(f'{group[key]:.3f}' for key in HEADS), str(group['pixels']))
            for name, group in groups.items() if group['pixels']]
    return Table('Errors', ('Pixels of', *HEADS.values(), 'Pixels'), rows,
                 "The mean over the images of each one's error.")


def _over_images(evaluation: Evaluation) -> Series:
    errors = [sums['all'].metrics().abs_rel for sums in evaluation.images]
    return Series('AbsRel of each image', range(len(errors)), {'AbsRel': errors}, 'AbsRel',
                  axis='image with truth')


def _bars(evaluation: Evaluation) -> Sequence[Section]:
    known = {name: metrics.abs_rel for name, metrics in evaluation.pooled().items()
             if metrics.pixels and name != 'all'}
    regions = {name: known[name] for name in (*ROWS, *COLUMNS) if name in known}
    masked = {name: known[name] for name in MASKED if name in known}
    ranges = {name: value for name, value in known.items() if name not in {**regions, **masked}}
    return [Bars('AbsRel by range of the truth', ranges, 'AbsRel'),
            Bars('AbsRel by third of the image', regions, 'AbsRel'),
            *([Bars('AbsRel of objects and background', masked, 'AbsRel')] if masked else [])]


def _example(image: Rgb | None, prediction: Depth, truth: Depth) -> Gallery:
    step = -(-prediction.shape[1] // WIDEST)
    small = np.asarray(prediction[::step, ::step], np.float32)
    shown = None if image is None else thumbnail(image, small.shape)
    sample = Sample('example', 'an image of the middle', small,
                    nearest_pixels(truth, (small.shape[0], small.shape[1])), shown, step)
    return Gallery('Example', [sample])
