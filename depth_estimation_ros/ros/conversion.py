# SPDX-License-Identifier: Apache-2.0
"""Parameter values of a neighbouring type, taken where what is meant leaves no doubt."""

from __future__ import annotations

from typing import Any

from rclpy.parameter import Parameter

Kind = Parameter.Type

ELEMENTS = {Kind.DOUBLE_ARRAY: Kind.DOUBLE, Kind.STRING_ARRAY: Kind.STRING}
"""The types of list that the node has, and what they hold."""

LISTS = (Kind.BYTE_ARRAY, Kind.BOOL_ARRAY, Kind.INTEGER_ARRAY, Kind.DOUBLE_ARRAY,
         Kind.STRING_ARRAY)


def kind_of(default: Any) -> Parameter.Type:
    """Return the type of a parameter with this default; a tuple stands for a list."""
    return Kind.from_parameter_value(list(default) if isinstance(default, tuple) else default)


def convert(parameter: Parameter, kind: Parameter.Type) -> Parameter:
    """Return the parameter as one of type ``kind``, or as it is where that is not unambiguous."""
    if parameter.type_ == kind:
        return parameter
    element = ELEMENTS.get(kind)
    if element is None:
        value = _number(parameter.value, kind)
    elif parameter.type_ in LISTS:
        value = [_number(each, element) for each in parameter.value]
    else:
        value = [_number(parameter.value, element)]
    return Parameter(parameter.name, kind, value) if kind.check(value) else parameter


def _number(value: Any, kind: Parameter.Type) -> Any:
    """Return a whole number as a float, or a float that is whole as an integer, as asked for."""
    if isinstance(value, bool):
        return value
    if kind == Kind.DOUBLE and isinstance(value, int):
        return float(value)
    if kind == Kind.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
