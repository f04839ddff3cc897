"""The node's parameters, each declared once: default, description, range, whether it is live."""

from __future__ import annotations

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
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..core.backends import BACKENDS
from ..core.colour import COLORMAPS
from ..core.errors import DepthError
from ..core.estimator import EstimatorOptions
from ..core.precision import PRECISIONS

CAMERA_NAME = re.compile(r'([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?', re.ASCII)
"""What can be the prefix of a topic; '' is none."""


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
        0, "Rows that the network sees, rounded to the checkpoint's multiple; 0 takes its own",
        name='network.height', low=0, high=2048)
    network_width: int = _parameter(
        0, 'Columns that the network sees, likewise', name='network.width', low=0, high=2048)
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
        if len(self.max_rate) not in (1, len(self.cameras)) or min(self.max_rate) < 0:
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
    for item in fields(Settings):
        value = getattr(default, item.name)
        _accept_whole_numbers(node, item)
        node.declare_parameter(
            _name(item), list(value) if isinstance(value, tuple) else value, _descriptor(item))
    return read(node)


def _accept_whole_numbers(node: Node, item: Field[Any]) -> None:
    """Let a file say `far: 10` for a number of metres, which rclpy would refuse as an integer."""
    number = item.default[0] if isinstance(item.default, tuple) else item.default
    given = node._parameter_overrides.get(_name(item))
    if not isinstance(number, float) or given is None:
        return
    if given.type_ == Parameter.Type.INTEGER:
        node._parameter_overrides[given.name] = Parameter(given.name, value=float(given.value))
    elif given.type_ == Parameter.Type.INTEGER_ARRAY:
        node._parameter_overrides[given.name] = Parameter(
            given.name, value=[float(value) for value in given.value])


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
