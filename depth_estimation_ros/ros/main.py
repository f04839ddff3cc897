"""The executable: ready for signals before the seconds that torch and rclpy take to import."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; SIGINT and SIGTERM end it with code 0 at any time, also while it loads."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')  # or a busy core costs others tenfold
    try:
        from .process import run
        run(args)
    except KeyboardInterrupt:
        os._exit(0)  # an interrupt within an import would else end Python by the signal


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    main()
