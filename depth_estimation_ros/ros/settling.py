# SPDX-License-Identifier: Apache-2.0
"""Waiting out a burst of changes."""

import time
from collections.abc import Callable
from typing import TypeVar

Wanted = TypeVar('Wanted')

QUIET = 0.3
"""Seconds without a further change after which a burst is over."""

PATIENCE = 10
"""Quiet times to wait at most: who changes things for ever gets what is wanted then."""


def settled(wanted: Callable[[], Wanted], quiet: float = QUIET) -> Wanted:
    """Return what is wanted once it has stayed the same for ``quiet`` seconds; blocks."""
    latest = wanted()
    for _ in range(PATIENCE):
        time.sleep(quiet)
        before, latest = latest, wanted()
        if before == latest:
            break
    return latest
