"""The executable: ready for signals before the seconds that torch and rclpy take to import."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main(args: list[str] | None = None) -> int:
    """Run the node; SIGINT and SIGTERM end it with code 0 at any time, also while it loads."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        from .node import run
        run(args)
    except KeyboardInterrupt:
        return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
