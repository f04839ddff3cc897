# SPDX-License-Identifier: Apache-2.0
"""Render the demo clip: `python -m training.clip`, a drive through a held-out room as rosbag2."""

import argparse
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from depth_estimation_ros.recordings import Writer
from training.dataset import bank_on, scene_rng, split_textures
from training.render import render
from training.scene import IMAGE_HEIGHT, IMAGE_WIDTH, clear_view, make_world
from training.sensor import Sensor, expose
from training.world import Camera, Intrinsics, World

RATE_HZ = 15
FRAME_ID = 'demo_camera_optical_frame'
START_NS = 1_700_000_000 * 10**9
INTRINSICS = Intrinsics(525.0, 525.0, 319.5, 239.5)
TRUTH_STEP = 4  # ground truth holds every fourth pixel of every fourth row
NOISE = 0.004
TYPES = get_typestore(Stores.ROS2_JAZZY)
Header = TYPES.types['std_msgs/msg/Header']
Time = TYPES.types['builtin_interfaces/msg/Time']
CompressedImage = TYPES.types['sensor_msgs/msg/CompressedImage']
CameraInfo = TYPES.types['sensor_msgs/msg/CameraInfo']
RegionOfInterest = TYPES.types['sensor_msgs/msg/RegionOfInterest']


@dataclass(frozen=True)
class Frame:
    """One moment of the drive."""

    stamp_ns: int
    bgr: np.ndarray  # uint8, (480, 640, 3)
    depth_mm: np.ndarray  # uint16, (120, 160), Z depth at pixels (4 row, 4 column)


def drive(world: World, phase: float) -> Camera:
    """
    Return the camera on its round through the room.

    :param phase: from 0 to 1 for one round.
    """
    angle = 2 * math.pi * phase
    x = world.size[0] / 2 + 0.2 * world.size[0] * math.cos(angle)
    y = world.size[1] / 2 + 0.2 * world.size[1] * math.sin(angle)
    yaw = angle + math.pi / 2 + 0.35 * math.sin(2 * angle)
    height = 1.2 + 0.01 * math.sin(7 * angle)
    pitch = -0.19 + 0.008 * math.sin(5 * angle)
    return Camera((x, y, height), yaw, pitch, 0.003 * math.sin(9 * angle), INTRINSICS)


def make_room(number: int) -> World:
    """Build the numbered held-out room."""
    rng = scene_rng('clip', number)
    return make_world(rng, split_textures('clip'), corridor=False)


def suits(world: World) -> bool:
    """Tell whether the room is roomy, furnished, and free along the drive."""
    views = [drive(world, phase / 60) for phase in range(60)]
    free = all(clear_view(world, view.position, view.yaw) for view in views)
    return free and min(world.size[:2]) > 5.5 and len(world.shapes) > 20


def frames(world: World, seconds: float) -> Iterator[Frame]:
    """
    Render the drive.

    :param seconds: how long one round takes.
    """
    columns, rows = (torch.arange(side, dtype=torch.float32)
                     for side in (IMAGE_WIDTH, IMAGE_HEIGHT))
    sensor, count = Sensor(0.45, (1.0, 1.0, 1.0), NOISE, 0), round(seconds * RATE_HZ) + 1
    bank = bank_on(torch.device('cpu'))
    for index in range(count):
        picture = render(world, drive(world, index / (count - 1)), columns, rows, bank)
        rgb = expose(picture.radiance, replace(sensor, seed=index)).permute(1, 2, 0).numpy()
        depth = picture.depth.numpy()[::TRUTH_STEP, ::TRUTH_STEP]
        yield Frame(START_NS + index * 10**9 // RATE_HZ, rgb[..., ::-1],
                    np.round(depth * 1000).astype(np.uint16))


def header(frame: Frame) -> object:
    """Return the header that all messages of a frame share."""
    return Header(Time(*divmod(frame.stamp_ns, 10**9)), FRAME_ID)


def encoded(frame: Frame, name: str, image: np.ndarray, options: list[int]) -> np.ndarray:
    """Encode an image with OpenCV, as the flat bytes of a CompressedImage."""
    done, data = cv2.imencode(name, np.ascontiguousarray(image), options)
    if not done:
        raise RuntimeError(f'could not encode the frame at {frame.stamp_ns} ns as {name}')
    return data.ravel()


def image_message(frame: Frame, quality: int) -> object:
    """Return the JPEG image of a frame."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    data = encoded(frame, '.jpg', frame.bgr, options)
    return CompressedImage(header(frame), 'bgr8; jpeg compressed bgr8', data)


def truth_message(frame: Frame) -> object:
    """Return the ground truth of a frame as a PNG of millimetres."""
    data = encoded(frame, '.png', frame.depth_mm, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return CompressedImage(header(frame), '16UC1; png', data)


def info_message(frame: Frame) -> object:
    """Return the camera's intrinsics."""
    k = INTRINSICS
    return CameraInfo(
        header(frame), IMAGE_HEIGHT, IMAGE_WIDTH, 'plumb_bob', np.zeros(5),
        np.array([k.fx, 0, k.cx, 0, k.fy, k.cy, 0, 0, 1.0]), np.eye(3).ravel(),
        np.array([k.fx, 0, k.cx, 0, 0, k.fy, k.cy, 0, 0, 0, 1.0, 0]), 0, 0,
        RegionOfInterest(0, 0, 0, 0, False))


def write_clip(folder: Path, drive_frames: Iterator[Frame], quality: int) -> None:
    """
    Write the bag.

    :param folder: is replaced where it exists.
    :param quality: of the JPEG images.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    topics = {'/image/compressed': CompressedImage, '/camera_info': CameraInfo,
              '/ground_truth/depth/compressed': CompressedImage}
    with Writer(folder, compress=False) as bag:
        for topic, kind in topics.items():
            bag.add_topic(topic, kind.__msgtype__)
        for frame in drive_frames:
            messages = (image_message(frame, quality), info_message(frame), truth_message(frame))
            for (topic, kind), message in zip(topics.items(), messages):
                data = bytes(TYPES.serialize_cdr(message, kind.__msgtype__))
                bag.write(topic, frame.stamp_ns, data)


def main() -> None:
    """Render and write the clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('clips/demo_room'))
    parser.add_argument('--room', type=int, default=2654)
    parser.add_argument('--seconds', type=float, default=20.2)
    parser.add_argument('--quality', type=int, default=85)
    options = parser.parse_args()
    total = round(options.seconds * RATE_HZ) + 1
    moments = tqdm(frames(make_room(options.room), options.seconds), total=total, unit='frame')
    write_clip(options.out, iter(moments), options.quality)


if __name__ == '__main__':
    main()
