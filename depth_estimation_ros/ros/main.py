# SPDX-License-Identifier: Apache-2.0
"""The executable: ready for signals before the seconds that torch and rclpy take to import."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from .signals import Interrupt, fill_standard_streams


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; SIGINT, SIGTERM and SIGHUP end it with code 0, also while it loads."""
    fill_standard_streams()
    interrupt = Interrupt()
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')  # or a busy core costs others tenfold
    try:
        from .process import run
    except ImportError as error:
        print(f'depth_estimation: cannot start: {error}: install it for {sys.executable}, or '
              "source ROS's setup.bash before", file=sys.stderr)
        sys.exit(1)
    run(args, interrupt)


if __name__ == '__main__':
    main()
