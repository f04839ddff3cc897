# SPDX-License-Identifier: Apache-2.0
"""Write one page of a run: totals, frames by reason, plots, and depth that one can point at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..offline.command import run_command
from ..recordings import RecordingError
from ..report import write_report
from ..report.runs import KINDS, PAGE

NAME = 'report'


def main(args: list[str] | None = None) -> int:
    """Run from the command line."""
    options = _parser().parse_args(args)
    return run_command(NAME, lambda: _run(options.run, options.output))


def _run(run: Path, output: Path) -> int:
    if output.is_file() and not output.read_bytes()[:9].lower() == b'<!doctype':
        raise RecordingError(f'{output} is no page: name another --output')
    print(f'Written: {write_report(run, output)}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument('run', type=Path, help=KINDS)
    parser.add_argument('--output', type=Path, default=Path(PAGE), help='the page to write')
    return parser


if __name__ == '__main__':
    sys.exit(main())
