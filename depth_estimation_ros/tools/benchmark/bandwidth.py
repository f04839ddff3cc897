# SPDX-License-Identifier: Apache-2.0
"""What each output's message weighs and costs, for frames of the rendered drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo

from ...core.estimator import DepthEstimator, EstimatorOptions
from ...core.maps import Maps, download
from ...core.validity import mark_range
from ...recordings import IMAGE, Writer, find_cameras, open_recording, shots
from ...resources import model_folder, share_folder
from ...ros import codec
from ...ros.outputs import OUTPUTS, Estimate, prepare
from ...ros.settings import Settings
from ..camera import moment_of
from ..demo import DRIVE

RATE = 15.0
EVERY = 60
"""One in so many frames of the drive is measured."""

SCAN = {'scan.camera_height': DRIVE.height, 'scan.pitch': DRIVE.pitch}

VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ('depth/image_rect', '32FC1', {}),
    ('depth/image_rect', '16UC1', {'depth.encoding': '16UC1'}),
    ('depth/image_rect/compressedDepth', 'png', {}),
    ('depth/image_rect/compressedDepth', 'png level 1', {'compressed_depth.png_level': 1}),
    ('depth/image_rect/compressedDepth', 'rvl', {'compressed_depth.format': 'rvl'}),
    ('depth/camera_info', '', {}),
    ('depth/preview', 'bgr8', {}),
    ('depth/points', '', {}),
    ('depth/points', 'stride 4', {'points.stride': 4}),
    ('depth/points', 'stride 4, color', {'points.stride': 4, 'points.color': True}),
    ('depth/scan', '', SCAN),
    ('depth/confidence', '32FC1', {}),
)
"""A topic, what its messages are, and the parameters that make them so."""

KEPT = 'depth/image_rect', '32FC1 in a bag (MCAP, zstd)'
"""What process_bag makes of the first of them."""


def measure_bandwidth(sizes: list[str]) -> list[dict[str, Any]]:
    """
    Encode and serialise what the node publishes of the drive, by the demo model.

    :param sizes: of the image, as 640x480; the drive's own is 640x480.
    :return: a row for the image, each of :data:`VARIANTS`, and :data:`KEPT`: the median bytes of
        a message, the megabytes of a second at :data:`RATE`, and the milliseconds until it is
        made, for each size.
    """
    rows = [{'output': topic, 'format': form} for topic, form in (
        ('image', 'rgb8'), *((topic, form) for topic, form, _ in VARIANTS), KEPT)]
    options = EstimatorOptions(model=model_folder('demo'), device='cpu', backend='torch')
    with closing(DepthEstimator(options)) as estimator:
        for size in sizes:
            width, height = (int(side) for side in size.split('x'))
            frames = [_costs(image, info, estimator) for image, info in _frames(width, height)]
            for row, *costs in zip(rows, *frames, strict=True):
                weight, seconds = (median(each) for each in zip(*costs, strict=True))
                row |= {f'{size}_bytes': round(weight),
                        f'{size}_mb_s': round(weight * RATE / 1e6, 3),
                        f'{size}_ms': round(1e3 * seconds, 1)}
    return rows


def _frames(width: int, height: int) -> Iterator[tuple[NDArray[np.uint8], CameraInfo]]:
    """Yield images of the drive and their calibration, cut to a shape and brought to a size."""
    clip = open_recording(str(share_folder() / 'clips' / 'demo_room'))
    for shot in islice(shots(clip, find_cameras(clip)[0]), 0, None, EVERY):
        moment = moment_of(shot)
        image, info = codec.decode(moment.image), moment.info
        assert info is not None  # the drive's camera is calibrated
        scale = max(width / info.width, height / info.height)
        columns, rows = round(width / scale), round(height / scale)
        left, top = (info.width - columns) // 2, (info.height - rows) // 2
        part = image[top:top + rows, left:left + columns]
        yield (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC),
               _scaled(info, scale, (left, top), (width, height)))


def _scaled(info: CameraInfo, scale: float, corner: tuple[int, int],
            size: tuple[int, int]) -> CameraInfo:
    """Return the calibration of a part of an image that was brought to a size."""
    focal = info.k[0] * scale
    cx, cy = ((place - first + 0.5) * scale - 0.5 for place, first in zip(
        (info.k[2], info.k[5]), corner, strict=True))
    return CameraInfo(
        header=info.header, width=size[0], height=size[1], distortion_model='plumb_bob',
        d=[0.0] * 5, k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0], r=info.r,
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0])


def _costs(image: NDArray[np.uint8], info: CameraInfo,
           estimator: DepthEstimator) -> list[tuple[int, float]]:
    """Return bytes and seconds of an image's message and of each output's."""
    limits = Settings().range.limits(estimator.range[1])
    maps, = estimator.submit([image], flip=True)()
    marked = mark_range(maps.depth, limits.near, limits.far)
    found, = download([Maps(marked, maps.confidence)])()
    estimate = Estimate(info.header, found.depth, info,
                        found.depth.shape, image, found.confidence)
    costs = [_cost(partial(codec.encode, image, 'rgb8', info.header))]
    for topic, _, changes in VARIANTS:
        outputs = prepare(Settings().changed(changes).outputs, limits)
        output = next(each for each, kind in zip(outputs, OUTPUTS, strict=True)
                      if kind.topic == topic)
        output.encode(estimate)  # makes what is the same for every frame
        costs.append(_cost(partial(output.encode, estimate)))
    depth = codec.encode(estimate.depth, '32FC1', info.header)
    return [*costs, _kept(serialize_message(depth))]


def _kept(message: bytes) -> tuple[int, float]:
    """Return the bytes of a bag with one depth message, and the seconds until it is written."""
    with TemporaryDirectory() as folder:
        writer = Writer(Path(folder) / 'bag')
        writer.add_topic(KEPT[0], IMAGE)
        began = perf_counter()
        writer.write(KEPT[0], 0, message)
        writer.close()
        seconds = perf_counter() - began
        return sum(file.stat().st_size for file in writer.path.glob('*.mcap')), seconds


def _cost(encode: Callable[[], Any]) -> tuple[int, float]:
    """Return the bytes of a message and the seconds until it is made."""
    began = perf_counter()
    message = encode()
    seconds = perf_counter() - began
    return len(serialize_message(message)), seconds
