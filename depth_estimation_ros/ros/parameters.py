"""The node's parameters, each declared once: default, description, range, whether it is live."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..core.backends import BACKENDS
from ..core.colour import COLORMAPS
from ..core.errors import DepthError
from ..core.estimator import EstimatorOptions
from ..core.precision import PRECISIONS
from .conversion import convert, kind_of
from .lifecycle import service_of
from .logs import one_line

CAMERA_NAME = re.compile(r'([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?', re.ASCII)
"""What can be the prefix of a topic; '' is none."""

OUTPUTS = '/depth'
"""What stands between a camera's name and its outputs' names."""

SMALLEST_NETWORK = 32
"""Pixels of a side, ZoeDepth's patches: below it nothing is left to see."""


def _parameter(default: Any, description: str, *, name: str = '', live: bool = True,
               low: float | None = None, high: float | None = None,
               choices: Iterable[str] = ()) -> Any:
    metadata = {'name': name, 'description': description, 'live': live, 'low': low, 'high': high,
                'choices': tuple(choices)}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The value of every parameter at one moment."""

    model: str = _parameter(
        'Intel/zoedepth-nyu-kitti', "A hub id, a folder, or 'demo' (embedded)", live=False)
    revision: str = _parameter(
        'main', "The hub's branch, tag or commit of the model", live=False)
    local_files_only: bool = _parameter(
        False, 'Never ask the hub, only its cache on this machine', live=False)
    device: str = _parameter(
        'auto', 'auto, cpu, cuda or cuda:N; auto takes CUDA where it is there', live=False)
    precision: str = _parameter(
        'auto', 'Precision of backbone and neck; auto takes a low one on CUDA where its depth is '
        'within 1 % of fp32', choices=('auto', *PRECISIONS))
    network_height: int = _parameter(
        0, 'Rows that the network sees of an image in its own proportion, rounded to the '
        "checkpoint's multiple; 0 follows network.width, or takes the checkpoint's own",
        name='network.height', low=0, high=2048)
    network_width: int = _parameter(
        0, 'Columns that the network sees, likewise; 0 follows network.height',
        name='network.width', low=0, high=2048)
    backend: str = _parameter(
        'auto', 'What runs the network on the CPU; auto takes OpenVINO where it is installed, '
        'where it is faster', choices=BACKENDS)
    compile: bool = _parameter(
        False, 'Build with torch.compile too, in the background, and use it where it is faster')
    cameras: tuple[str, ...] = _parameter(
        ('',), "Names of the cameras, each the prefix of its topics; [''] is one camera without "
        'prefix', live=False)
    image_transport: str = _parameter(
        'raw', 'Subscribe to image (raw) or to image/compressed (compressed)', live=False,
        choices=('raw', 'compressed'))
    autostart: bool = _parameter(
        True, 'Configure and activate at start, without a lifecycle manager', live=False)
    flip_augmentation: bool = _parameter(
        False, "Average with the mirrored image's depth, as the original ZoeDepth does")
    near: float = _parameter(
        0.1, 'Metres; nearer depth is published as -Inf (REP 117)', low=0.0, high=1000.0)
    far: float = _parameter(
        0.0, "Metres; farther depth is published as +Inf (REP 117); 0 takes the model's range",
        low=0.0, high=1000.0)
    max_age: float = _parameter(
        0.0, 'Seconds; depth of an image captured longer ago is dropped; 0 is off',
        low=0.0, high=3600.0)
    max_rate: tuple[float, ...] = _parameter(
        (0.0,), 'Hz at which a camera is served at most, one for all cameras or one each; 0 is '
        'off')
    max_batch: int = _parameter(
        8, 'The most images that run through the network at once', low=1, high=64)
    preview_colormap: str = _parameter(
        'turbo', 'Colours of depth/preview', name='preview.colormap', choices=COLORMAPS)
    preview_near: float = _parameter(
        0.0, 'Metres of the first colour', name='preview.near', low=0.0, high=1000.0)
    preview_far: float = _parameter(
        10.0, 'Metres of the last colour', name='preview.far', low=0.0, high=1000.0)

    def __post_init__(self) -> None:
        """Refuse values that make no sense, alone or together; raises ValueError."""
        for item in fields(self):
            choices, value = item.metadata['choices'], getattr(self, item.name)
            if choices and value not in choices:
                raise ValueError(f"{_name(item)} is '{value}', which is none of "
                                 f'{", ".join(choices)}')
        for side in (self.network_height, self.network_width):
            if 0 < side < SMALLEST_NETWORK:
                raise ValueError(f'network.height and network.width must be 0 or at least '
                                 f'{SMALLEST_NETWORK}, not {side}')
        if self.far and self.far <= self.near:
            raise ValueError(f'far ({self.far} m) must lie beyond near ({self.near} m), or be 0')
        if self.preview_far <= self.preview_near:
            raise ValueError(f'preview.far ({self.preview_far} m) must lie beyond preview.near '
                             f'({self.preview_near} m)')
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f'cameras must be distinct names, not {list(self.cameras)}')
        for name in self.cameras:
            if not CAMERA_NAME.fullmatch(name):
                raise ValueError(f"cameras holds '{name}', which no topic can start with: take "
                                 "letters, digits and '_', and no digit first")
            if (name + OUTPUTS).removeprefix('/') in self.cameras:
                raise ValueError(f"cameras holds '{name}' and a name below its own topics, "
                                 f"'{(name + OUTPUTS).removeprefix('/')}': their camera_info "
                                 'would be one topic')
        if (len(self.max_rate) not in (1, len(self.cameras))
                or not all(0 <= rate < math.inf for rate in self.max_rate)):
            raise ValueError(f'max_rate must be one number of Hz, or one for each of the '
                             f'{len(self.cameras)} cameras, none negative, not '
                             f'{list(self.max_rate)}')

    def range(self, model_far: float) -> tuple[float, float]:
        """
        Return near and far in metres, far the model's own where it is left open.

        :param model_far: metres, the far end of the model's range.
        :raises ValueError: when no depth would be left between them.
        """
        far = self.far or model_far
        if far <= self.near:
            raise ValueError(f"near ({self.near} m) lies beyond the model's own range, which ends "
                             f'at {far} m')
        return self.near, far

    def estimator_options(self, model: str) -> EstimatorOptions:
        """Return what the core needs to load ``model``, a folder or hub id."""
        return EstimatorOptions(
            model=model, revision=self.revision, local_files_only=self.local_files_only,
            device=self.device, precision=self.precision, backend=self.backend,
            compile=self.compile, height=self.network_height, width=self.network_width)

    def rates(self) -> list[float]:
        """Return the highest rate of each camera in Hz."""
        return [*self.max_rate] * (len(self.cameras) if len(self.max_rate) == 1 else 1)


def declare(node: Node) -> Settings:
    """
    Declare every parameter on the node and return the values it was started with.

    :raises ValueError: when the values make no sense together.
    """
    default = Settings()
    given = node._parameter_overrides  # rclpy has no public way to change them
    given.update({each.name: each for each in converted(given.values())})
    for item in fields(Settings):
        value, override = getattr(default, item.name), given.get(_name(item))
        if override is not None and override.type_ == Parameter.Type.NOT_SET:
            raise ValueError(f"parameter '{override.name}' is given without a value")
        node.declare_parameter(
            _name(item), list(value) if isinstance(value, tuple) else value, _descriptor(item))
    return read(node)


def converted(changes: Iterable[Parameter]) -> list[Parameter]:
    """
    Return parameters with the values as this node declares them, where they leave no doubt.

    A number may come whole (``far:=10``) and a list of one as its element (``cameras:=front``);
    rclpy would refuse both. Whatever else is of another type stays as it is.
    """
    kinds = {_name(item): kind_of(item.default) for item in fields(Settings)}
    return [convert(change, kinds[change.name]) if change.name in kinds else change
            for change in changes]


def read(node: Node) -> Settings:
    """Return the current values."""
    return Settings(**{item.name: _value(node.get_parameter(_name(item)).value)
                       for item in fields(Settings)})


def unknown_overrides(node: Node) -> list[str]:
    """Return the names that a parameters file or command line sets and the node does not have."""
    given: Iterable[str] = node._parameter_overrides  # rclpy has no public way to list them
    return sorted(name for name in given
                  if not node.has_parameter(name) and not name.startswith('qos_overrides.'))


def check(settings: Settings, changes: list[Parameter],
          verify: Callable[[Settings], None] = lambda settings: None) -> SetParametersResult:
    """
    Say whether the changes would leave sensible settings.

    :param verify: raises ValueError or DepthError for settings that make sense but cannot be had.
    """
    by_name = {_name(item): item.name for item in fields(Settings)}
    try:
        changed = replace(settings, **{by_name[change.name]: _value(change.value)
                                       for change in changes if change.name in by_name})
        verify(changed)
    except (ValueError, DepthError) as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def set_together(node: Node) -> None:
    """
    Let the node take the changes of one request together where they make sense together.

    rclpy takes them one by one: then a file's ``near: 20`` and ``far: 30`` may be refused for the
    far end that is about to change, and each change has its consequences alone.
    """
    def answer(request: SetParameters.Request,
               response: SetParameters.Response) -> SetParameters.Response:
        live = [each for each in request.parameters if _may_change(node, each.name)]
        together = _assign(node, live)
        response.results = [
            together if together.successful and each in live else _assign(node, [each])
            for each in request.parameters]
        return response

    def answer_atomically(
            request: SetParametersAtomically.Request,
            response: SetParametersAtomically.Response) -> SetParametersAtomically.Response:
        response.result = _assign(node, request.parameters)
        return response

    service_of(node, SetParameters).callback = answer
    service_of(node, SetParametersAtomically).callback = answer_atomically


def _may_change(node: Node, name: str) -> bool:
    return node.has_parameter(name) and not node.describe_parameter(name).read_only


def _assign(node: Node, messages: Iterable[Any]) -> SetParametersResult:
    """Set parameters all or none; whatever is wrong with them becomes the reason."""
    try:
        changes = [Parameter.from_parameter_msg(message) for message in messages]
        for change in changes:
            if not node.has_parameter(change.name):
                raise ValueError(f"the node has no parameter '{change.name}'")
        return node.set_parameters_atomically(changes)
    except Exception as error:  # rclpy's own checks raise for some of what may be sent
        return SetParametersResult(successful=False, reason=one_line(error))


def _name(item: Field[Any]) -> str:
    return str(item.metadata['name'] or item.name)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _descriptor(item: Field[Any]) -> ParameterDescriptor:
    meta = item.metadata
    descriptor = ParameterDescriptor(
        description=meta['description'], read_only=not meta['live'],
        additional_constraints=f'one of {", ".join(meta["choices"])}' if meta['choices'] else '')
    if meta['low'] is None:
        return descriptor
    if isinstance(item.default, int):
        descriptor.integer_range = [
            IntegerRange(from_value=int(meta['low']), to_value=int(meta['high']), step=0)]
    else:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=meta['low'], to_value=meta['high'], step=0.0)]
    return descriptor
