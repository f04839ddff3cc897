# SPDX-License-Identifier: Apache-2.0
"""What one look of the safety monitor costs."""

from collections.abc import Iterator
from time import perf_counter

import cv2
import numpy as np

from depth_estimation_ros.core.monitor.look import look_at
from training.monitor.camera import draw_settings, photograph
from training.monitor.rooms import views

SIZES = ((640, 480), (1280, 720), (1920, 1080))
REPEATS = 50


def cost() -> Iterator[str]:
    """Yield the median milliseconds of a look at images of several sizes, on this machine."""
    image = photograph(next(views('test', 0, 1)), draw_settings(np.random.default_rng(0)))
    for size in SIZES:
        resized = cv2.resize(image, size)
        times = []
        for _ in range(REPEATS):
            started = perf_counter()
            look_at(resized)
            times.append(perf_counter() - started)
        yield f'a look at {size[0]}x{size[1]}: {1e3 * np.median(times):.2f} ms'
