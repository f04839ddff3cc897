# SPDX-License-Identifier: Apache-2.0
"""Tensors that depend on settings alone, made once and kept on their device.

A captured graph reads them by address, so it must hold those that it was captured with: they are
collected by :func:`in_use`. Closing an estimator forgets them all; a graph's live on with it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from threading import local
from typing import Any, ParamSpec, TypeVar

P = ParamSpec('P')
T = TypeVar('T')

_caches: list[Any] = []
_collecting = local()


def device_constant(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the last results of a function of hashable settings and a device."""
    cached: Any = lru_cache(maxsize=16)(make)
    _caches.append(cached)

    @wraps(make)
    def constant(*args: P.args, **kwargs: P.kwargs) -> T:
        value: T = cached(*args, **kwargs)
        for held in getattr(_collecting, 'lists', ()):
            held.append(value)
        return value
    return constant


@contextmanager
def in_use() -> Iterator[list[Any]]:
    """Collect the constants that this thread asks for."""
    held: list[Any] = []
    lists = _collecting.__dict__.setdefault('lists', [])
    lists.append(held)
    try:
        yield held
    finally:
        lists[:] = [other for other in lists if other is not held]


def forget() -> None:
    """Let go of every constant that nobody else holds."""
    for cached in _caches:
        cached.cache_clear()
