# SPDX-License-Identifier: Apache-2.0
"""The node's settings as ROS parameters: declared, read, checked, and set together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field
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

from ..core.errors import DepthError
from .conversion import convert, kind_of
from .lifecycle import service_of
from .logs import one_line
from .settings import Settings, parameters

OFF = 'off'
"""A choice that YAML 1.1, and so a command line, reads as the bool False."""


def declare(node: Node) -> Settings:
    """
    Declare every parameter on the node and return the values it was started with.

    :raises ValueError: when the values make no sense together.
    """
    given = node._parameter_overrides  # rclpy has no public way to change them
    given.update({each.name: each for each in converted(given.values())})
    for name, item in parameters().items():
        value, override = item.default, given.get(name)
        if override is not None and override.type_ == Parameter.Type.NOT_SET:
            raise ValueError(f"parameter '{name}' is given without a value")
        node.declare_parameter(
            name, list(value) if isinstance(value, tuple) else value, _descriptor(item))
    return read(node)


def converted(changes: Iterable[Parameter]) -> list[Parameter]:
    """
    Return parameters with the values as this node declares them, where they leave no doubt.

    A number may come whole (``far:=10``), a list of one as its element (``cameras:=front``), and
    the word off as a bool, since YAML takes it for one; rclpy would refuse each. Whatever else is
    of another type stays as it is.
    """
    items = parameters()
    return [_converted(change, items[change.name]) if change.name in items else change
            for change in changes]


def read(node: Node) -> Settings:
    """Return the current values."""
    return Settings().changed(
        {name: _value(node.get_parameter(name).value) for name in parameters()})


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
    try:
        verify(settings.changed({change.name: _value(change.value) for change in changes}))
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


def _converted(change: Parameter, item: Field[Any]) -> Parameter:
    if change.value is False and OFF in item.metadata['choices']:
        return Parameter(change.name, value=OFF)
    return convert(change, kind_of(item.default))


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
