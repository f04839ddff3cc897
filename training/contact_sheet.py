# SPDX-License-Identifier: Apache-2.0
"""Draw held-out scenes with their depth: `python -m training.contact_sheet`."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from training.dataset import Sample, camera_sample

COLUMNS = 6
SHRINK = 4
FAR_M = 8.0  # the last colour


def cell(sample: Sample) -> np.ndarray:
    """Return the image above its coloured depth, uint8, BGR."""
    image = sample.image.permute(1, 2, 0).numpy()[..., ::-1]
    small = cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    level = np.clip(sample.depth.numpy()[::SHRINK, ::SHRINK] / FAR_M, 0, 1)
    colour = cv2.applyColorMap(np.uint8(255 * (1 - level)), cv2.COLORMAP_TURBO)
    return np.vstack([small, colour])


def contact_sheet(scenes: int) -> np.ndarray:
    """
    Lay out the first scenes of the test split.

    :param scenes: how many; a multiple of COLUMNS.
    """
    cells = [cell(camera_sample('test', index)) for index in range(scenes)]
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, scenes, COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('docs/images/world.png'))
    parser.add_argument('--scenes', type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(options.scenes)
    cv2.imwrite(str(options.out), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == '__main__':
    main()
