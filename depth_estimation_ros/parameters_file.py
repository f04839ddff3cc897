# SPDX-License-Identifier: Apache-2.0
"""What a ROS parameters file says of one node, for launch files that must know it first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

VALUES = 'ros__parameters'


def parameters_of(path: Path, name: str, namespace: str = '') -> dict[str, Any]:
    """
    Return the parameters that a file gives a node, by their full names such as scan.pitch.

    Nodes are matched as rcl matches them: `/**` is any name, `*` one part of it, nested keys are
    namespaces, and what stands later in the file counts.

    :param name: of the node, without its namespace.
    :raises ValueError: when the file cannot be read, or is no YAML.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValueError(f"'{path}' cannot be read as parameters: {error}") from error
    node = '/'.join(['', *filter(None, namespace.split('/')), name])
    found: dict[str, Any] = {}
    for pattern, values in _sections(tree, ''):
        if re.fullmatch(_expression(pattern), node):
            found |= dict(_flattened(values, ''))
    return found


def cameras_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return the names that parameters give the cameras; none for one without."""
    named = parameters.get('cameras')
    return [str(name) for name in (named if isinstance(named, list) else [named]) if name]


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
