# SPDX-License-Identifier: Apache-2.0
"""What a command line says and the node does not hear: rcl passes over it without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from rclpy.utilities import remove_ros_args

from ..parameters_file import concerns, sections


def unheard(arguments: Sequence[str], node: str) -> Iterator[str]:
    """
    Name each part of a command line that changes nothing, and what to do about it.

    :param arguments: with the program first.
    :param node: its name with its namespace.
    """
    if remove_ros_args(list(arguments))[1:]:  # image:=/cam alone is taken for a remapping
        yield (f"'{' '.join(_outside(arguments[1:]))}' on the command line is not heard: what is "
               'for the node follows --ros-args, such as --ros-args -p model:=demo')
    for flag, value in pairwise(arguments):
        if flag == '--params-file':
            yield from _of_others(value, node)


def _outside(arguments: Sequence[str]) -> Iterator[str]:
    """Return what stands outside of --ros-args and --, but for remappings such as image:=/cam."""
    inside, before = False, ''
    for argument in arguments:
        if argument in ('--ros-args', '--'):
            inside = argument == '--ros-args'
        elif not inside and (':=' not in argument or before in ('-p', '--param')):
            yield argument
        before = argument


def _of_others(file: str, node: str) -> Iterator[str]:
    """Say so where a parameters file has sections, and none is the node's."""
    names: list[str] = []
    with suppress(ValueError):  # rcl has read it
        names = sections(Path(file))
    if names and not any(concerns(name, node) for name in names):
        yield (f"'{file}' has parameters of {', '.join(names)} and none of this node: name their "
               f'section {node} or /**')
