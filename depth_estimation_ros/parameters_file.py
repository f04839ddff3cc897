# SPDX-License-Identifier: Apache-2.0
"""What a ROS parameters file says of one node, for launch files that must know it first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

VALUES = 'ros__parameters'


def full_name(name: str, namespace: str, pushed: str = '') -> str:
    """
    Return a node's name with its namespace, as launch_ros makes it.

    :param namespace: the node's own.
    :param pushed: that of the groups around it (PushRosNamespace); one from the root ignores it.
    """
    parts = f'{"" if namespace.startswith("/") else pushed}/{namespace}/{name}'.split('/')
    return '/'.join(['', *filter(None, parts)])


def parameters_of(path: Path, node: str) -> dict[str, Any]:
    """
    Return the parameters that a file gives a node, by their full names such as scan.pitch.

    What stands later in the file counts.

    :param node: its name with its namespace.
    :raises ValueError: when the file cannot be read, or is no YAML.
    """
    found: dict[str, Any] = {}
    for pattern, values in _sections(_read(path), ''):
        if concerns(pattern, node):
            found |= dict(_flattened(values, ''))
    return found


def sections(path: Path) -> list[str]:
    """
    Return the names, or patterns, of the nodes that a file has parameters of.

    :raises ValueError: when the file cannot be read, or is no YAML.
    """
    return [name for name, _ in _sections(_read(path), '')]


def concerns(pattern: str, node: str) -> bool:
    """
    Return whether the name of a section is that of a node.

    Nodes are matched as rcl matches them: `/**` is any name, `*` one part of it, nested keys are
    namespaces.
    """
    return re.fullmatch(_expression(pattern), node) is not None


def cameras_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return the names that parameters give the cameras; none for one without."""
    named = parameters.get('cameras')
    return [str(name) for name in (named if isinstance(named, list) else [named]) if name]


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValueError(f"'{path}' cannot be read as parameters: {error}") from error


def _sections(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Walk to the parameters of each node in the file, with the pattern of the node's name."""
    for key, below in tree.items() if isinstance(tree, Mapping) else ():
        if key == VALUES:
            yield name, below
        else:
            yield from _sections(below, f'{name}/{str(key).strip("/")}')


def _expression(pattern: str) -> str:
    parts = {'**': '(/[^/]+)*', '*': '/[^/]+'}
    return ''.join(parts.get(part, '/' + re.escape(part)) for part in pattern.split('/')[1:])


def _flattened(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _flattened(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
