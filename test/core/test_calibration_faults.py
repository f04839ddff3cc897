# SPDX-License-Identifier: Apache-2.0
"""Faults of a calibration: each is named with what to do, and a sound one has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depth_estimation_ros.core.calibration import IDENTITY, Calibration
from depth_estimation_ros.core.calibration_faults import calibration_faults

NAN = float('nan')
K = (500.0, 0.0, 320.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0)
P = (500.0, 0.0, 320.0, 0.0, 0.0, 510.0, 180.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SOUND = Calibration(size=(640, 360), model='plumb_bob', d=(0.0,) * 5, k=K, r=IDENTITY, p=P)
DISTORTED = (-0.1, 0.05, 0.0, 0.0, 0.01)


def faults(*, image: tuple[int, int] = (640, 360), rectified: bool = False,
           **changes: Any) -> list[str]:
    return calibration_faults(replace(SOUND, **changes), image, rectified=rectified)


SOUND_ONES: dict[str, dict[str, Any]] = {
    'plain': {},
    'no coefficients': {'d': ()},
    'uncalibrated R and P of a simulator': {'r': (0.0,) * 9, 'p': (0.0,) * 12},
    'resized': {'image': (320, 180)},
    'called 16:9 like the image': {'size': (1280, 720), 'image': (848, 480),
                                   'k': (900.0, 0.0, 640.0, 0.0, 900.0, 360.0, 0.0, 0.0, 1.0),
                                   'p': (900.0, 0.0, 640.0, 0.0, 0.0, 900.0, 360.0, 0.0, 0.0, 0.0,
                                         1.0, 0.0)},
    'roi': {'image': (400, 200), 'offset': (100, 50), 'roi': (400, 200)},
    'binned': {'image': (320, 180), 'binning': (2, 2)},
    'roi baked in': {'offset': (100, 50), 'roi': (640, 360)},
    'image unknown': {'image': (0, 0)},
    'rectified': {'d': DISTORTED, 'rectified': True},
    'rectified, four coefficients': {'d': DISTORTED[:4], 'rectified': True},
    'rectified, thin prism': {'d': (0.1,) * 12, 'model': 'rational_polynomial', 'rectified': True},
    'rectified, tilted': {'d': (0.1,) * 14, 'model': 'rational_polynomial', 'rectified': True},
    'rectified fisheye': {'d': DISTORTED[:4], 'model': 'equidistant', 'rectified': True},
    'rectified wide lens': {'d': DISTORTED, 'rectified': True,
                            'p': (220.0, 0.0, 320.0, 0.0, 0.0, 230.0, 180.0, 0.0, *P[8:])},
    'stereo, the left camera by depthai': {'p': (500.0, 0.0, 320.0, 60.2, *P[4:])},
}


@pytest.mark.parametrize('name', SOUND_ONES)
def test_a_sound_calibration_has_no_fault(name: str) -> None:
    assert faults(**SOUND_ONES[name]) == []


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    'K all NaN': ({'k': (NAN,) * 9}, 'K that is not finite'),
    'one Inf in K': ({'k': (float('inf'), *K[1:])}, 'K that is not finite'),
    'K zero': ({'k': (0.0,) * 9, 'size': (0, 0)}, 'not calibrated'),
    'everything zero': ({'k': (0.0,) * 9, 'p': (0.0,) * 12, 'r': (0.0,) * 9, 'model': '',
                         'd': ()}, 'not calibrated'),
    'R and P zero with 8 coefficients': (
        {'model': 'rational_polynomial', 'd': (0.5,) * 8, 'r': (0.0,) * 9, 'p': (0.0,) * 12,
         'rectified': True}, 'R and P in camera_info are zero'),
    'P zero with distortion': ({'d': DISTORTED, 'p': (0.0,) * 12, 'rectified': True},
                               'P in camera_info is zero'),
    'P NaN': ({'p': (NAN,) * 12}, 'R or P that is not finite'),
    'R NaN': ({'r': (NAN,) * 9}, 'R or P that is not finite'),
    'D NaN': ({'d': (NAN,) * 5, 'rectified': True}, 'coefficients that are not finite'),
    'fisheye': ({'model': 'equidistant', 'd': DISTORTED[:4]}, 'fisheye'),
    'fisheye with zeros': ({'model': 'equidistant', 'd': (0.0,) * 4}, 'fisheye'),
    'not rectified': ({'d': DISTORTED}, 'image_rect'),
    'not rectified, 8 coefficients': (
        {'model': 'rational_polynomial', 'd': (0.5,) * 8}, 'image_rect'),
    'no model': ({'model': ''}, 'no distortion_model'),
    'no model with distortion': ({'model': '', 'd': DISTORTED, 'rectified': True},
                                 'no distortion_model'),
    'unknown model': ({'model': 'radtan', 'd': DISTORTED[:4], 'rectified': True}, "'radtan'"),
    'plumb_bob with 8': ({'d': (0.1,) * 8, 'rectified': True}, '8 coefficients for plumb_bob'),
    'rational_polynomial with 9': (
        {'model': 'rational_polynomial', 'd': (0.1,) * 9, 'rectified': True}, '8 or 12 or 14'),
    'another aspect': ({'image': (640, 480)}, 'another aspect'),
    'square': ({'image': (384, 384)}, 'another aspect'),
    'width 0': ({'size': (0, 360)}, 'width or height 0'),
    'height 0': ({'size': (640, 0)}, 'width or height 0'),
    'roi outside': ({'offset': (300, 50), 'roi': (400, 200), 'image': (400, 200)}, 'beyond'),
    'negative focal length': ({'k': (-500.0, *K[1:])}, 'focal lengths'),
    'K of a unit plane': ({'k': IDENTITY}, 'focal lengths'),
    'focal length in metres': ({'k': (0.004, 0.0, 320.0, 0.0, 0.004, 180.0, 0.0, 0.0, 1.0)},
                               'focal lengths'),
    'enormous focal length': ({'k': (1e7, *K[1:4], 1e7, *K[5:])}, 'focal lengths'),
    'principal point outside': ({'k': (500.0, 0.0, 960.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0)},
                                'principal point'),
    'K column by column': ({'k': (500.0, 0.0, 0.0, 0.0, 510.0, 0.0, 320.0, 180.0, 1.0)},
                           'column by column'),
    'P of another mode': ({'p': (1500.0, 0.0, 960.0, 0.0, 0.0, 1530.0, 540.0, 0.0, *P[8:])},
                          'P in camera_info'),
    'P unlike K beyond any rectification': (
        {'d': DISTORTED, 'rectified': True,
         'p': (2500.0, 0.0, 320.0, 0.0, 0.0, 2500.0, 180.0, 0.0, *P[8:])}, 'P in camera_info'),
    'P of a unit plane': ({'p': (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, *P[8:])},
                          'P in camera_info'),
    'K of the binned image': (
        {'size': (2064, 1544), 'binning': (4, 4), 'image': (516, 386),
         'k': (299.5, 0.0, 254.1, 0.0, 300.1, 183.9, 0.0, 0.0, 1.0),
         'p': (298.5, 0.0, 255.9, 0.0, 0.0, 300.0, 182.5, *[0.0] * 3, 1.0, 0.0)},
        'of the binned image'),
}


@pytest.mark.parametrize('name', BROKEN)
def test_a_fault_is_named_with_what_to_do(name: str) -> None:
    changes, named = BROKEN[name]
    told = faults(**changes)
    assert any(named in fault for fault in told), told
    assert len(told) <= 2, f'one fault is told in {len(told)} ways: {told}'
    assert all(len(fault) > 30 and '\n' not in fault for fault in told)
