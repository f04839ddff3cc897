# SPDX-License-Identifier: Apache-2.0
"""Write a bag with all that another one has, and metric depth beside each of its cameras."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ..offline.account import Account
from ..offline.added import ProcessOptions
from ..offline.command import positive, run_command, say_all, stats
from ..offline.network import add_network_arguments, network_options
from ..offline.process import process_bag

NAME = 'process_bag'


def main() -> int:
    """Run from the command line."""
    options = _parser().parse_args()
    return run_command(NAME, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    wanted = process_options(options)
    accounts: dict[str, Account] = {}
    with tqdm(unit='frame', desc='depth', disable=None) as progress, stats(
            options.stats, lambda: sum(account.received for account in accounts.values())):
        found, warnings = process_bag(
            options.input, options.output, wanted, network_options(options),
            restart=options.restart, progress=progress)
        accounts.update(found)
    say_all(NAME, warnings)
    for topic, account in accounts.items():
        print(f'{topic}: {account}')
    return 0


def add_process_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is made of a bag."""
    parser.add_argument('--image', action='append', default=[], metavar='TOPIC',
                        help='an image topic, once for each; without it one of each namespace')
    parser.add_argument('--name', default=ProcessOptions.name,
                        help="what the new topics are called in a camera's namespace")
    parser.add_argument('--preview', action='store_true', help='add depth in colours')
    parser.add_argument('--preview-far', type=positive, default=ProcessOptions.preview_far,
                        help='metres of the last colour')
    parser.add_argument('--part', type=positive, default=ProcessOptions.part,
                        help='seconds of recording in one file, which is what a kill can cost')


def process_options(options: argparse.Namespace) -> ProcessOptions:
    """Return what the command line says is made of a bag."""
    return ProcessOptions(tuple(options.image), options.name, options.preview,
                          options.preview_far, options.part)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument('input', help='rosbag2 directory, .mcap, .db3 or .bag file')
    parser.add_argument('output', type=Path, help='rosbag2 directory to make; must not exist')
    add_process_arguments(parser)
    parser.add_argument('--restart', action='store_true',
                        help='throw away what an earlier run has left of this output')
    parser.add_argument('--stats', action='store_true', help='print time and peak memory')
    add_network_arguments(parser)
    return parser


if __name__ == '__main__':
    sys.exit(main())
