# SPDX-License-Identifier: Apache-2.0
"""The value of every parameter at one moment, in groups that each check themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from ..core.backends import BACKENDS
from ..core.estimator import EstimatorOptions
from ..core.precision import PRECISIONS
from ..core.shaping.reduce import PICKS
from .calibrations import CalibrationSettings
from .groups import Group, SomeGroup, changed, entries, parameter
from .monitor_checks import MonitorSettings
from .outputs import OUTPUTS, Limits
from .outputs.confidence import ConfidenceSettings
from .outputs.scan import ScanSettings
from .steadiness import TemporalSettings

CAMERA_NAME = re.compile(r'([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?', re.ASCII)
"""What can be the prefix of a topic; '' is none."""

BELOW_CAMERA = '/depth'
"""What stands between a camera's name and its outputs' names."""

SMALLEST_NETWORK = 32
"""Pixels of a side, ZoeDepth's patches: below it nothing is left to see."""


@dataclass(frozen=True)
class Model(Group):
    """Which weights, and where they run."""

    name: str = parameter(
        'Intel/zoedepth-nyu-kitti', "A hub id, a folder, a file with a card, or 'demo'",
        name='model',
        live=False)
    revision: str = parameter(
        'main', "The hub's branch, tag or commit of the model", live=False)
    local_files_only: bool = parameter(
        False, 'Never ask the hub, only its cache on this machine', live=False)
    device: str = parameter(
        'auto', 'auto, cpu, cuda or cuda:N; auto takes CUDA where it is there', live=False)


@dataclass(frozen=True)
class Network(Group):
    """How the network runs; a change builds another one beside the one in use."""

    precision: str = parameter(
        'auto', 'Precision of backbone and neck; auto takes a low one on CUDA where its depth is '
        'within 1 % of fp32', choices=('auto', *PRECISIONS))
    height: int = parameter(
        0, 'Rows that the network sees of an image in its own proportion, rounded to the '
        "checkpoint's multiple; 0 follows network.width, or takes the checkpoint's own",
        name='network.height', low=0, high=2048)
    width: int = parameter(
        0, 'Columns that the network sees, likewise; 0 follows network.height',
        name='network.width', low=0, high=2048)
    domain: str = parameter(
        'auto', "The metric head of a model with several: 'nyu' for indoors, 'kitti' for "
        'outdoors, or auto, by which the model chooses and a camera keeps its choice a while')
    backend: str = parameter(
        'auto', 'What runs the network on the CPU; auto takes OpenVINO where it is installed, '
        'where it is faster', choices=BACKENDS)
    compile: bool = parameter(
        False, 'Build with torch.compile too, in the background, and use it where it is faster')

    def check(self) -> None:
        """Refuse a side too small to see anything."""
        for side in (self.height, self.width):
            if 0 < side < SMALLEST_NETWORK:
                raise ValueError(f'network.height and network.width must be 0 or at least '
                                 f'{SMALLEST_NETWORK}, not {side}')


@dataclass(frozen=True)
class Cameras(Group):
    """What comes in, and how often it is served."""

    names: tuple[str, ...] = parameter(
        ('',), "Names of the cameras, each the prefix of its topics; [''] is one camera without "
        'prefix', name='cameras', live=False)
    image_transport: str = parameter(
        'raw', 'Subscribe to image (raw) or to image/compressed (compressed)', live=False,
        choices=('raw', 'compressed'))
    max_rate: tuple[float, ...] = parameter(
        (0.0,), 'Hz at which a camera is served at most, one for all cameras or one each; 0 is '
        'off')

    def check(self) -> None:
        """Refuse names that make no topics, and rates that are not theirs."""
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f'cameras must be distinct names, not {list(self.names)}')
        for name in self.names:
            self._check_name(name)
        if (len(self.max_rate) not in (1, len(self.names))
                or not all(0 <= rate < math.inf for rate in self.max_rate)):
            raise ValueError(f'max_rate must be one number of Hz, or one for each of the '
                             f'{len(self.names)} cameras, none negative, not '
                             f'{list(self.max_rate)}')

    def _check_name(self, name: str) -> None:
        if not CAMERA_NAME.fullmatch(name):
            raise ValueError(f"cameras holds '{name}', which no topic can start with: take "
                             "letters, digits and '_', and no digit first")
        below = (name + BELOW_CAMERA).removeprefix('/')
        if below in self.names:
            raise ValueError(f"cameras holds '{name}' and a name below its own topics, '{below}': "
                             'their camera_info would be one topic')

    def rates(self) -> list[float]:
        """Return the highest rate of each camera in Hz."""
        return [*self.max_rate] * (len(self.names) if len(self.max_rate) == 1 else 1)


@dataclass(frozen=True)
class Prompt(Group):
    """Another sensor's depth beside the images, for the models that need it."""

    prefix = 'prompt'

    slop: float = parameter(
        0.1, 'Seconds between the captures of an image and of the prompt/depth that a model takes '
        'beside it, at most', low=0.0, high=10.0)


@dataclass(frozen=True)
class Serving(Group):
    """How frames are served."""

    autostart: bool = parameter(
        True, 'Configure and activate at start, without a lifecycle manager', live=False)
    flip_augmentation: bool = parameter(
        False, "Average with the mirrored image's depth, as the original ZoeDepth does")
    max_age: float = parameter(
        0.0, 'Seconds; depth of an image captured longer ago is dropped; 0 is off',
        low=0.0, high=3600.0)
    max_batch: int = parameter(
        8, 'The most images that run through the network at once', low=1, high=64)


@dataclass(frozen=True)
class Range(Group):
    """What depth is published as such."""

    near: float = parameter(
        0.1, 'Metres; nearer depth is published as -Inf (REP 117)', low=0.0, high=1000.0)
    far: float = parameter(
        0.0, "Metres; farther depth is published as +Inf (REP 117); 0 takes the model's range",
        low=0.0, high=1000.0)

    def check(self) -> None:
        """Refuse a range without depth in it."""
        if self.far and self.far <= self.near:
            raise ValueError(f'far ({self.far} m) must lie beyond near ({self.near} m), or be 0')

    def limits(self, model_far: float) -> Limits:
        """
        Return the range, its far end the model's own where it is left open.

        :param model_far: metres, the far end of the model's range.
        :raises ValueError: when no depth would be left in it.
        """
        far = self.far or model_far
        if far <= self.near:
            raise ValueError(f"near ({self.near} m) lies beyond the model's own range, which ends "
                             f'at {far} m')
        return Limits(self.near, far)


@dataclass(frozen=True)
class DepthSize(Group):
    """How large the depth is that is published, and all that is made of it."""

    prefix = 'depth'

    width: int = parameter(
        0, 'Columns of the depth and of all that is made of it, no more than the image has; 0 '
        'follows depth.height', low=0, high=8192)
    height: int = parameter(
        0, 'Rows, likewise; both 0 follow depth.stride', low=0, high=8192)
    stride: int = parameter(
        1, 'Rows and columns of the image that become one of the depth', low=1, high=64)
    pick: str = parameter(
        'nearest', 'Which of the pixels that become one is taken: the valid one nearest to the '
        'middle, or the least distance; never a mean', choices=PICKS)

    def of(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of the depth of an image."""
        if self.width or self.height:
            rows_wanted = self.height or round(rows * self.width / columns)
            columns_wanted = self.width or round(columns * self.height / rows)
        else:
            rows_wanted, columns_wanted = rows // self.stride, columns // self.stride
        return max(min(rows_wanted, rows), 1), max(min(columns_wanted, columns), 1)


@dataclass(frozen=True)
class Edges(Group):
    """Which pixels at depth edges are unknown."""

    prefix = 'edges'

    jump: float = parameter(
        0.0, 'Relative difference of neighbours from which on both become NaN, since points '
        'between two surfaces are none; 0.05 is 5 %, 0 is off', low=0.0, high=10.0)
    width: int = parameter(
        1, 'Pixels on either side of such an edge that become NaN', low=1, high=32)


@dataclass(frozen=True)
class Settings:
    """The value of every parameter at one moment."""

    model: Model = Model()
    network: Network = Network()
    cameras: Cameras = Cameras()
    prompt: Prompt = Prompt()
    serving: Serving = Serving()
    range: Range = Range()
    edges: Edges = Edges()
    temporal: TemporalSettings = field(default_factory=TemporalSettings)
    depth: DepthSize = DepthSize()
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    outputs: tuple[Group, ...] = tuple(output.settings() for output in OUTPUTS)
    """The group of each output, in the order of :data:`OUTPUTS`."""

    def __post_init__(self) -> None:
        """Refuse values of several groups that make no sense together; raises ValueError."""
        if self.output(ConfidenceSettings).min and not self.serving.flip_augmentation:
            raise ValueError('confidence.min needs flip_augmentation: true, since the mirrored '
                             'image tells the confidence')
        frame = self.output(ScanSettings).frame
        if frame and len(self.cameras.names) > 1:
            raise ValueError(f"scan.frame '{frame}' would be the frame of every camera's scan: "
                             "leave it empty, and each has its own: its images' frame and _level")

    def values(self) -> dict[str, Any]:
        """Return all values under their names in ROS."""
        return {name: getattr(group, item.name) for group in self._groups
                for name, item in entries(type(group)).items()}

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """
        Return the settings with other values, changed together.

        :param values: under names in ROS.
        :raises ValueError: when they make no sense, alone or together.
        """
        own = {item.name: changed(getattr(self, item.name), values)
               for item in fields(self) if item.name != 'outputs'}
        outputs = tuple(changed(group, values) for group in self.outputs)
        return Settings(**own, outputs=outputs)

    def estimator_options(self, model: str) -> EstimatorOptions:
        """Return what the core needs to load ``model``, a folder or hub id."""
        return EstimatorOptions(
            model=model, revision=self.model.revision, device=self.model.device,
            local_files_only=self.model.local_files_only, precision=self.network.precision,
            backend=self.network.backend, compile=self.network.compile,
            height=self.network.height, width=self.network.width, domain=self.network.domain,
            consistent=True)

    def output(self, kind: type[SomeGroup]) -> SomeGroup:
        """Return the group of an output by its type."""
        return next(group for group in self.outputs if isinstance(group, kind))

    @property
    def _groups(self) -> tuple[Group, ...]:
        return (self.model, self.network, self.cameras, self.prompt, self.calibration,
                self.serving, self.range, self.edges, self.temporal, self.depth, self.monitor,
                *self.outputs)


def parameters() -> dict[str, Field[Any]]:
    """Return how each parameter is declared, under its name in ROS."""
    return {name: item for group in Settings()._groups
            for name, item in entries(type(group)).items()}
