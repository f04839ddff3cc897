# SPDX-License-Identifier: Apache-2.0
"""The cameras that the settings name, each with what tells of it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping

from rclpy.lifecycle import LifecycleNode

from ..core.estimator import DepthEstimator
from ..core.families.base import Quantity
from .camera import Camera
from .mailbox import Frame
from .mount_source import mount_source_of, transforms_for
from .odometry import odometry_for, odometry_transforms
from .outputs import OUTPUTS
from .outputs.scan import ScanSettings
from .settings import Settings


def cameras_for(settings: Settings, node: LifecycleNode, estimator: DepthEstimator,
                calibrated: Container[str], deliver: Callable[[Frame], None]) -> Iterator[Camera]:
    """
    Create the cameras one by one, with their topics.

    :param calibrated: the names of those whose depth becomes metres by a calibration.
    :param deliver: takes each of their frames.
    :raises ValueError: when what tells how a camera stands, or moves, cannot be had; when two
        outputs are remapped to one topic.
    """
    metric = estimator.family.quantity is Quantity.METRES
    _check_names(node, {name: metric or name in calibrated for name in settings.cameras.names})
    scan = settings.output(ScanSettings)
    transforms = odometry_transforms(settings.temporal, node, transforms_for(scan, node))
    for name in settings.cameras.names:
        yield Camera(
            node, name, transport=settings.cameras.image_transport, deliver=deliver,
            expect=estimator.prepare, quantity=estimator.family.quantity,
            calibrated=name in calibrated, prompted=estimator.family.needs_prompt,
            mount_source=mount_source_of(scan, transforms),
            odometry=odometry_for(settings.temporal, transforms))


def _check_names(node: LifecycleNode, cameras: Mapping[str, bool]) -> None:
    """
    Raise ValueError where a topic would carry two outputs in turn.

    :param cameras: whether each one's depth is in metres.
    """
    own: dict[str, str] = {}
    for camera, metric in cameras.items():
        for output in OUTPUTS:
            if not (output.takes_metres if metric else output.takes_relative):
                continue
            name = f'{camera}/{output.topic}' if camera else output.topic
            topic = str(node.resolve_topic_name(name))
            if topic in own:
                raise ValueError(f'{own[topic]} and {name} are remapped to one topic, {topic}: '
                                 'give each a name of its own')
            own[topic] = name
