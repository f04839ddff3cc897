# SPDX-License-Identifier: Apache-2.0
"""What the commands share: one line for what is at fault, an exit code, and statistics."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..core.errors import DepthError
from ..recordings import RecordingError

INTERRUPTED = 130


def positive(text: str) -> float:
    """Return an option's number; argparse names the option where it is not above 0."""
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return number


def angle(text: str) -> float:
    """Return an angle of view in degrees, between 0 and 180."""
    if not positive(text) < 180:
        raise argparse.ArgumentTypeError(f'{text} degrees cannot be seen through a pinhole')
    return float(text)


def whole(text: str) -> int:
    """Return a whole number, 0 or above."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError(f'{text} is below 0')
    return number


def run_command(name: str, work: Callable[[], int], *,
                faults: tuple[type[Exception], ...] = (), goes_on: bool = True) -> int:
    """
    Run a command and return its exit code; an error becomes one line on stderr.

    :param faults: what it raises beside RecordingError, DepthError and OSError.
    :param goes_on: whether the next run takes up what an interrupted one has done.
    """
    logging.basicConfig(format=f'{name}: %(message)s', level=logging.WARNING)
    foreseen: tuple[type[Exception], ...] = (RecordingError, DepthError, *faults)
    try:
        return work()
    except KeyboardInterrupt:
        say(name, 'interrupted' + (': the same command goes on from here' if goes_on else ''))
        return INTERRUPTED
    except foreseen as error:
        say(name, str(error))
    except MemoryError:
        say(name, f'out of memory{": take a smaller --batch" if goes_on else ""}')
    except OSError as error:
        where = f'{error.filename}: ' if error.filename else ''
        say(name, f'{where}{error.strerror or error}')
    return 1


def say(name: str, text: str) -> None:
    """Print one line on stderr."""
    print(f'{name}: {" ".join(text.split())}', file=sys.stderr)


def say_all(name: str, texts: Sequence[str]) -> None:
    """Print a line for each text on stderr."""
    for text in texts:
        say(name, text)


@contextmanager
def stats(wanted: bool, frames: Callable[[], int]) -> Iterator[None]:
    """
    Print seconds, frames a second and the peak of memory of what runs within.

    Of processes that it starts, and that have ended, the largest has its peak printed too.

    :param frames: tells how many frames were served.
    """
    start = time.perf_counter()
    yield
    if wanted:
        seconds, count = time.perf_counter() - start, frames()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        other = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        print(f'{seconds:.1f} s with the start, {count / seconds:.1f} frames/s, '
              f'peak memory {peak:.0f} MB' + (f', {other:.0f} MB of another process' if other
                                              else ''))
