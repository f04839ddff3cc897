# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters: frozen dataclasses whose fields say all that ROS is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar


def parameter(default: Any, description: str, *, name: str = '', live: bool = True,
              low: float | None = None, high: float | None = None,
              choices: Iterable[str] = ()) -> Any:
    """
    Declare a parameter as the field of a group.

    :param name: in ROS, where it is not the field's below the group's prefix.
    :param live: whether it may change while the node runs.
    :param low: the smallest number that is taken.
    :param high: the largest number that is taken.
    :param choices: the words that are taken, where not any word is.
    """
    return field(default=default, metadata={
        'name': name, 'description': description, 'live': live, 'low': low, 'high': high,
        'choices': tuple(choices)})


@dataclass(frozen=True)
class Group:
    """Parameters that belong together; this one has none."""

    prefix: ClassVar[str] = ''
    """What stands before the names of its parameters in ROS, and a dot."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense, alone or together; raises ValueError."""
        for name, item in entries(type(self)).items():
            choices, value = item.metadata['choices'], getattr(self, item.name)
            if choices and value not in choices:
                raise ValueError(f"{name} is '{value}', which is none of {', '.join(choices)}")
        self.check()

    def check(self) -> None:
        """Refuse values that make no sense together; raises ValueError."""


SomeGroup = TypeVar('SomeGroup', bound=Group)


def entries(kind: type[Group]) -> dict[str, Field[Any]]:
    """Return the fields of a group under their names in ROS."""
    start = f'{kind.prefix}.' if kind.prefix else ''
    return {item.metadata['name'] or start + item.name: item for item in fields(kind)}


def changed(group: SomeGroup, values: Mapping[str, Any]) -> SomeGroup:
    """
    Return a group with those of the values that are its own, changed together.

    :param values: under names in ROS, of whatever group.
    :raises ValueError: when they make no sense.
    """
    own = {item.name: values[name] for name, item in entries(type(group)).items()
           if name in values}
    return replace(group, **own) if own else group
