# SPDX-License-Identifier: Apache-2.0
"""The position encodings of each network size, computed once and kept while there is room."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import RLock

from torch import Tensor, nn

from ..backends import forward
from ..families.recorded import position_encodings, set_position_encodings
from .shape import Size

Encodings = list[Tensor | None]


class Constants:
    """A model's position encodings by network size, the one used last at the end."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.built = 0
        """How many times a size's encodings were computed."""
        self._kept: OrderedDict[Size, Encodings] = OrderedDict()
        self._installed: Size | None = None
        self._lock = RLock()
        """A builder's thread reads what the caller's changes."""

    def install(self, size: Size, pixels: Callable[[], Tensor]) -> None:
        """
        Have the model read the encodings of a size.

        :param pixels: gives an input of the size, to run where they must be computed.
        """
        if self._installed == size:
            return
        self._installed = None
        if size not in self._kept:
            set_position_encodings(self.model, None)
            forward(self.model, pixels())
            with self._lock:
                self._kept[size] = position_encodings(self.model)
            self.built += 1
        with self._lock:
            self._kept.move_to_end(size)
        set_position_encodings(self.model, self._kept[size])
        self._installed = size

    def offer(self, size: Size, encodings: Encodings) -> None:
        """Keep the encodings of a size that no frame has had yet; the first to make room."""
        with self._lock:
            if size not in self._kept:
                self._kept[size] = encodings
                self._kept.move_to_end(size, last=False)
                self.built += 1

    def of(self, size: Size) -> Encodings | None:
        """Return the encodings of a size, None where they are not kept."""
        with self._lock:
            return self._kept.get(size)

    @property
    def sizes(self) -> list[Size]:
        """The sizes that are kept, the one used last at the end."""
        with self._lock:
            return list(self._kept)

    @property
    def bytes(self) -> int:
        """The memory that the kept encodings take."""
        with self._lock:
            return sum(map(encoding_bytes, self._kept.values()))

    def without(self, run: Callable[[], Tensor]) -> Tensor:
        """Run the model at a size whose encodings are not to be kept: it computes its own."""
        self._forget_installed()
        try:
            return run()
        finally:
            self._forget_installed()

    def release(self, size: Size) -> None:
        """Let go of a size."""
        with self._lock:
            self._kept.pop(size, None)
        if self._installed == size:
            self._forget_installed()

    def clear(self) -> None:
        """Let go of everything, also what the model reads."""
        with self._lock:
            self._kept.clear()
        self._forget_installed()

    def _forget_installed(self) -> None:
        set_position_encodings(self.model, None)
        self._installed = None


def encoding_bytes(values: Iterable[Tensor | None]) -> int:
    """Return the memory that a size's encodings take."""
    return sum(value.untyped_storage().nbytes() for value in values if value is not None)


def model_bytes(model: nn.Module) -> int:
    """Return the memory of a model's weights and of the encodings that it reads."""
    weights = sum(weight.nbytes for weight in model.parameters())
    return weights + encoding_bytes(position_encodings(model))
