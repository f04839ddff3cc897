# SPDX-License-Identifier: Apache-2.0
"""What depends on the network's size alone: recorded at the first pass, read at later ones.

A module takes part by a class attribute ``recorded``, a tensor or None.
"""

from typing import Any

from torch import Tensor, nn


def position_encodings(network: nn.Module) -> list[Tensor | None]:
    """Return the encodings that the network's last size left recorded, module by module."""
    return [module.recorded for module in _recorded(network)]


def set_position_encodings(network: nn.Module, values: list[Tensor | None] | None) -> None:
    """Install the encodings of one size; None forgets them, so the next pass records anew."""
    modules = _recorded(network)
    for module, value in zip(modules, values or [None] * len(modules), strict=True):
        module.recorded = value


def _recorded(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if hasattr(type(module), 'recorded')]
