# SPDX-License-Identifier: Apache-2.0
"""Rooms through other lenses, and what a focal length makes of their depth."""

from __future__ import annotations

import numpy as np
import pytest

from training.dataset import camera_sample
from training.focal import compared, table, zoomed
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH


def test_the_scenes_own_lens_gives_the_scenes_own_picture() -> None:
    seen, sample = zoomed(3, 1.0), camera_sample('test', 3)
    np.testing.assert_array_equal(seen.depth, sample.depth.numpy())
    np.testing.assert_array_equal(seen.image, sample.image.permute(1, 2, 0).numpy())
    assert seen.focal == sample.camera.intrinsics.fx


def test_a_long_lens_sees_the_middle_of_a_short_ones_picture() -> None:
    short, long = zoomed(0, 1.0), zoomed(0, 2.0)
    lens = camera_sample('test', 0).camera.intrinsics
    u, v = (np.rint(centre + (np.arange(side) - centre) / 2).astype(int) for centre, side in (
        (lens.cx, IMAGE_WIDTH), (lens.cy, IMAGE_HEIGHT)))
    assert np.median(np.abs(long.depth / short.depth[v[:, None], u] - 1)) < 0.01
    assert long.focal == 2 * short.focal


def test_a_short_lens_is_corrected_and_the_table_says_so() -> None:
    (zoom, (plain, corrected, aligned)), = compared(1, (0.7,))
    assert aligned.abs_rel < corrected.abs_rel < 0.6 * plain.abs_rel
    last = list(table([(zoom, [plain, corrected, aligned])]))[-1]
    assert last.startswith(f'| 368 (0.7 times the trained) | {plain.abs_rel:.3f} | ')
    assert float(last.split(' | ')[2]) == pytest.approx(corrected.abs_rel, abs=1e-3)
