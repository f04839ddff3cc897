# SPDX-License-Identifier: Apache-2.0
"""What the safety monitor checks: each fault's name, its limit, its number and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from .groups import Group, parameter


@dataclass(frozen=True)
class MonitorSettings(Group):
    """From where on a measure of the images or of the depth is worth a WARN; depth goes on."""

    prefix = 'monitor'

    dark: float = parameter(
        25.0, 'WARN where the mean luma of the images, 0 to 255, is below this; 0 is off',
        low=0.0, high=255.0)
    saturated: float = parameter(
        0.5, 'WARN where more than this share of pixels is clipped at the bright end; 0 is off',
        low=0.0, high=1.0)
    blurred: float = parameter(
        0.24, 'WARN where edges rise by less than this share of their contrast in a pixel of 320 '
        'across the image; 0 is off', low=0.0, high=1.0)
    covered: float = parameter(
        0.3, 'WARN where more than this share of the picture is without texture in view after '
        'view; 0 is off', low=0.0, high=1.0)
    frozen: float = parameter(
        2.0, 'WARN where the picture is the same for more than this many seconds while its stamps '
        'go on; 0 is off, as for a simulated camera that stands still', low=0.0, high=3600.0)
    unknown: float = parameter(
        0.5, 'WARN where more than this share of the depth is NaN; 0 is off', low=0.0, high=1.0)
    out_of_range: float = parameter(
        0.95, 'WARN where more than this share of the depth is nearer than near or beyond far; 0 '
        'is off', low=0.0, high=1.0)
    domain_changes: int = parameter(
        6, 'WARN where the metric head changes more often than this in a minute; 0 is off',
        low=0, high=1000)


@dataclass(frozen=True)
class Check:
    """How a fault is named and said."""

    name: str
    key: str
    """Of its measure in diagnostics."""
    number: str
    """Its number, in words; formatted with the measure."""
    remedy: str
    below: bool = False
    """Whether it is a fault to be below the limit, not above it."""
    form: str = '{:.3f}'
    """Of the measure in diagnostics."""
    timed: bool = True
    """Whether it is said how long it lasts; else the number says that."""

    def is_fault(self, value: float | None, limit: float) -> bool:
        """Whether a measure is beyond its limit; never where that is 0, or nothing was told."""
        if value is None or not limit:
            return False
        return value < limit if self.below else value > limit

    def shown(self, value: float | None) -> str:
        """Return a measure as diagnostics show it."""
        return 'unknown' if value is None else self.form.format(value)

    def sentence(self, value: float | None, seconds: float) -> str:
        """Say what is wrong, and what to do."""
        number = 'cannot be told now' if value is None else self.number.format(value)
        lasting = f' for {seconds:.0f} s' if self.timed else ''
        return f'{self.name}: {number}{lasting}; {self.remedy}'


CHECKS: dict[str, Check] = {
    'dark': Check(
        'image dark', 'image_luma', 'mean luma {:.0f} of 255',
        'depth is a guess: light, exposure, or a cap on the lens', below=True, form='{:.1f}'),
    'saturated': Check(
        'image saturated', 'image_saturated', '{:.0%} of pixels are clipped',
        'nothing is seen there: a shorter exposure, or a lamp or the sun in view'),
    'blurred': Check(
        'image blurred', 'image_sharpness', 'edges have {:.2f} of their contrast in a pixel',
        'depth loses what is small: focus, a wet, greasy or fogged lens, a long exposure', True),
    'covered': Check(
        'lens covered', 'image_covered', '{:.0%} of the picture stays without texture',
        'depth is a guess there: clean or uncover the lens; a bare wall all over the view looks '
        'the same'),
    'frozen': Check(
        'picture frozen', 'image_still_s', 'the same for {:.0f} s while its stamps go on',
        'restart the camera driver; a simulated camera that stands still does so too: set '
        'monitor.frozen to 0', form='{:.1f}', timed=False),
    'unknown': Check(
        'depth unknown', 'depth_unknown', '{:.0%} of pixels are NaN',
        'is the lens covered or the picture black? If not, edges.jump or confidence.min leave '
        'little, or the model is damaged: fetch it again (hf download), and see whether '
        'precision: fp32 mends it'),
    'out_of_range': Check(
        'depth out of range', 'depth_out_of_range', '{:.0%} of pixels are nearer than near or '
        'beyond far', 'an obstacle at the lens, a scale that is wrong, or far is too near'),
    'domain_changes': Check(
        'domain changes', 'domain_changes_a_minute', 'another metric head {:.0f} times in a '
        'minute', 'their metres may differ tenfold: set domain to the one of this place',
        form='{:.0f}', timed=False),
}
"""Every check, under the name of its limit in :class:`MonitorSettings`."""
