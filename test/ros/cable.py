# SPDX-License-Identifier: Apache-2.0
"""A network cable in user space, between two TAP interfaces, that delays and loses frames."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LONGEST_FRAME = 65536
NAP = 0.1
"""Seconds between looks at whether the cable has been unplugged."""


@dataclass
class Cable:
    """What happens to the frames that enter from now on, whichever way they go."""

    delay: float = 0.0
    """Seconds that a frame travels, one way."""
    loss: float = 0.0
    """Share of the frames that never arrive; 1.0 is a cut cable."""
    lost: int = 0
    """Frames that have not arrived so far."""


@contextlib.contextmanager
def tap(name: str) -> Iterator[int]:
    """Make a TAP interface; give the descriptor that reads and writes its Ethernet frames."""
    device = os.open('/dev/net/tun', os.O_RDWR)
    try:
        fcntl.ioctl(device, TUNSETIFF,
                    struct.pack('16sH22x', name.encode(), IFF_TAP | IFF_NO_PI))
        yield device
    finally:
        os.close(device)


@contextlib.contextmanager
def plugged(one: str, other: str) -> Iterator[Cable]:
    """
    Join two new interfaces, in this namespace and down; they may be moved to others.

    Over a TAP the kernel sends whole frames, with the checksums that a veth pair leaves out.
    """
    with tap(one) as here, tap(other) as there:
        cable, unplugged = Cable(), threading.Event()
        ways = [threading.Thread(target=carry, args=(cable, *ends, unplugged))
                for ends in ((here, there), (there, here))]
        for way in ways:
            way.start()
        try:
            yield cable
        finally:
            unplugged.set()
            for way in ways:
                way.join()


def carry(cable: Cable, source: int, target: int, unplugged: threading.Event) -> None:
    """Copy frames one way and in their order, none before its delay is over."""
    under_way: deque[tuple[float, bytes]] = deque()
    chance = random.Random(0)
    while not unplugged.is_set():
        rest = under_way[0][0] - time.monotonic() if under_way else NAP
        if select.select([source], [], [], min(max(rest, 0.0), NAP))[0]:
            frame = os.read(source, LONGEST_FRAME)
            if chance.random() < cable.loss:
                cable.lost += 1
            else:
                last = under_way[-1][0] if under_way else 0.0
                under_way.append((max(last, time.monotonic() + cable.delay), frame))
        while under_way and under_way[0][0] <= time.monotonic():
            # An interface that is down takes no frame.
            with contextlib.suppress(OSError):
                os.write(target, under_way[0][1])
            under_way.popleft()
