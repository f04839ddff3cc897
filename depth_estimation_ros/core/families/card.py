# SPDX-License-Identifier: Apache-2.0
"""The card of an ONNX file: what must be known of a network beside its weights."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from ..errors import CheckpointError
from .base import Quantity, Size
from .preprocessing import Letterboxed, Preprocessing

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Card:
    """What must be known of a network beside its file: ``network.yaml`` for ``network.onnx``."""

    quantity: Quantity
    """metres, inverse_depth or relative_depth."""
    height: int
    """Rows that the network sees."""
    width: int
    """Columns that the network sees."""
    licence: str
    """Of the weights."""
    source: str
    """Where the file and the numbers of the card come from."""
    range: tuple[float, float] | None = None
    """The nearest and farthest depth in metres that it was trained for."""
    keep_aspect_ratio: bool = False
    """Fit the shorter change of side, as DPT does; for networks with free sides."""
    multiple: int = 1
    """What the sides are multiples of, where the aspect ratio is kept."""
    padding: tuple[float, ...] | None = None
    """Where set, images are fitted into the size in proportion, and this RGB colour, from 0 to
    255, fills the borders."""
    kernel: str = 'bicubic'
    """'bilinear' or 'bicubic', as PIL resizes."""
    factor: float = 1 / 255
    """What each grey level is multiplied by."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    output: str = ''
    """The name of the network's output; empty takes the first."""
    channel: int = 0
    """The one of an N×C×H×W output that is the depth; 2 takes z of points."""
    reference_focal_length: float = 0.0
    """Where set, metres are the output times the focal length, in pixels of the network's input,
    over this."""
    estimates_focal_length: bool = False
    """Whether the network estimates it, so that its metres are those of any lens."""

    @classmethod
    def read(cls, path: Path) -> Card:
        """
        Read a card.

        :raises CheckpointError: naming what is missing, unknown or of the wrong kind.
        """
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({error.strerror}): an ONNX model needs a card of this "
                'name, which says what its numbers mean; config/cards holds examples') from error
        except yaml.YAMLError as error:
            raise CheckpointError(f"'{path}' is not valid YAML: {error}") from error
        try:
            return cls._checked(content)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"'{path}' cannot be used: {error}") from error

    @classmethod
    def _checked(cls, content: Any) -> Card:
        if not isinstance(content, dict):
            raise TypeError('it holds no names with values')
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(set(content) - set(known))
        missing = sorted(name for name, field in known.items()
                         if field.default is MISSING and name not in content)
        if unknown or missing:
            raise ValueError('; '.join(
                f'{what} {", ".join(names)}' for what, names in
                (('it lacks', missing), ('it has unknown', unknown)) if names))
        values: dict[str, Any] = {
            name: _read(name, value, str(known[name].type)) for name, value in content.items()
            if value is not None or known[name].default is MISSING}
        quantities = {quantity.name.lower(): quantity for quantity in Quantity}
        if values['quantity'] not in quantities:
            raise ValueError(f"quantity is '{values['quantity']}', which is none of "
                             f'{", ".join(quantities)}')
        values['quantity'] = quantities[values['quantity']]
        card = cls(**values)
        card._check_numbers()
        return card

    def _check_numbers(self) -> None:
        """Raise ValueError where a number cannot be."""
        for name in ('height', 'width', 'multiple'):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f'{name} is {value!r}, not a whole number above 0')
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError('mean and std must be three numbers each, those of std above 0')
        if self.channel < 0:
            raise ValueError(f'channel is {self.channel!r}, not a whole number from 0 on')
        if self.factor <= 0:
            raise ValueError(f'factor is {self.factor}, not above 0')
        if self.reference_focal_length < 0:
            raise ValueError(f'reference_focal_length is {self.reference_focal_length}, not above '
                             '0 (or 0 for none)')
        if self.reference_focal_length and self.quantity is not Quantity.METRES:
            raise ValueError('reference_focal_length makes metres of the output, so quantity must '
                             'be metres')
        if self.padding is not None and (
                len(self.padding) != 3 or self.keep_aspect_ratio or self.multiple != 1):
            raise ValueError('padding must be three numbers, without keep_aspect_ratio and '
                             'multiple: it fills a network of one size')
        if self.kernel not in ('bilinear', 'bicubic'):
            raise ValueError(f"kernel is '{self.kernel}', neither bilinear nor bicubic")
        if self.range is not None and not (
                len(self.range) == 2 and 0 <= self.range[0] < self.range[1]):
            raise ValueError(f'range is {list(self.range)}, not near and far in metres')

    def preprocessing(self) -> Preprocessing:
        """Return how an image becomes the network's input."""
        size = Size(self.height, self.width)
        if self.padding is not None:
            return Letterboxed(size=size, kernel=self.kernel, factor=self.factor, mean=self.mean,
                               std=self.std, colour=self.padding)
        return Preprocessing(
            size=size, kernel=self.kernel, multiple=self.multiple,
            keep_aspect_ratio=self.keep_aspect_ratio, factor=self.factor, mean=self.mean,
            std=self.std)


def _read(name: str, value: Any, kind: str) -> Any:
    """
    Return a value of a card as its field's type.

    A number may be written as text, which YAML takes 1/255 and 1e-3 for.

    :param kind: the type, as the field declares it.
    :raises ValueError: naming the field whose value is of another type.
    """
    if kind in ('str', 'Quantity'):
        if value is None:
            raise ValueError(f'{name} is empty')
        return str(value)
    if kind == 'bool':
        if not isinstance(value, bool):
            raise ValueError(f'{name} is {value!r}, neither true nor false')
        return value
    if kind == 'int':
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f'{name} is {value!r}, not a whole number')
        return value
    if kind == 'float':
        return _number(name, value)
    if not isinstance(value, list):
        raise ValueError(f'{name} is {value!r}, not a list of numbers')
    return tuple(_number(name, each) for each in value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(Fraction(value)) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = math.nan
    beyond = name == 'range' and number == math.inf  # a far end that nobody knows
    if not (math.isfinite(number) or beyond) or isinstance(value, bool):
        raise ValueError(f'{name} is {value!r}, not a number')
    return number
