# SPDX-License-Identifier: Apache-2.0
"""Write many bags with metric depth beside their cameras, on one machine or a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from tqdm import tqdm

from ..fleet.engines import RayOptions, choose_engine
from ..fleet.run import REPORT, BagReport, process_bags
from ..offline.command import run_command, say, say_all, stats, whole
from ..offline.network import add_network_arguments, network_options
from .process_bag import add_process_arguments, process_options

NAME = 'process_bags'


def main() -> int:
    """Run from the command line."""
    options = _parser().parse_args()
    return run_command(NAME, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    reports: list[BagReport] = []
    cluster = RayOptions(options.address, options.workers, options.cpus, options.gpus)
    with closing(choose_engine(cluster, options.device)) as engine, tqdm(
            unit='part', desc='bags', disable=None) as progress, stats(
            options.stats, lambda: sum(map(_frames, reports))):
        reports += process_bags(
            options.inputs, options.output, process_options(options), network_options(options),
            engine, restart=options.restart, redo=options.redo, progress=progress)
    for report in reports:
        _say(report)
    whole_bags = sum(report.is_whole for report in reports)
    print(f'{whole_bags} of {len(reports)} bags have depth, {sum(map(_frames, reports))} frames; '
          f'{options.output}/{REPORT} says what became of each')
    return 0 if whole_bags == len(reports) else 1


def _frames(report: BagReport) -> int:
    return sum(account['published'] for account in report.frames.values())


def _say(report: BagReport) -> None:
    say_all(NAME, report.warnings)
    for error in report.errors:
        say(NAME, f'{report.bag.source}: {error}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='bags, folders with bags '
                        "anywhere below, or patterns in quotes: 's3://bucket/drives/**'")
    parser.add_argument('output', help='folder to put the bags into, on any filesystem')
    parser.add_argument('--address', default='', metavar='auto|HOST:PORT',
                        help='the Ray cluster; without it this machine alone works')
    parser.add_argument('--workers', type=whole, default=0, metavar='N',
                        help='at most; 0: as many as a cluster has room for, else one a GPU')
    parser.add_argument('--cpus', type=whole, default=0, metavar='N', help='of each '
                        "worker; 0: its share, at most a machine's, and 1 beside a GPU")
    parser.add_argument('--gpus', type=float, default=1.0, metavar='SHARE',
                        help='of each worker, where there are any; 0.5 lets two share one')
    parser.add_argument('--stats', action='store_true', help='print time and peak memory')
    parser.add_argument('--redo', action='append', default=[], metavar='BAG', help='make this bag '
                        'anew, by its name in the output; once for each')
    parser.add_argument('--restart', action='store_true',
                        help='make all of these bags anew, with other options too')
    add_process_arguments(parser)
    add_network_arguments(parser)
    return parser


if __name__ == '__main__':
    sys.exit(main())
