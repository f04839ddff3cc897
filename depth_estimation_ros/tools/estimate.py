# SPDX-License-Identifier: Apache-2.0
"""Write the metric depth of pictures, videos and bags to files; ROS is not needed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ..offline.account import Account
from ..offline.cloud import CLOUDS
from ..offline.command import angle, positive, run_command, say_all, stats
from ..offline.estimate import EstimateOptions, estimate
from ..offline.formats import FORMATS
from ..offline.network import add_network_arguments, network_options

NAME = 'estimate'


def main() -> int:
    """Run from the command line."""
    options = _parser().parse_args()
    return run_command(NAME, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    wanted = EstimateOptions(
        tuple(options.depth) or ('png',), options.preview, options.preview_far,
        options.cloud_format or ('ply' if options.cloud else ''),
        options.video, options.rate, options.image, options.fov, options.overwrite,
        options.view, options.view_file)
    accounts: dict[str, Account] = {}
    with tqdm(unit='frame', desc='depth', disable=None) as progress, stats(
            options.stats, lambda: sum(account.received for account in accounts.values())):
        found, warnings = estimate(options.input, options.output, wanted,
                                   network_options(options), progress=progress)
        accounts.update(found)
    say_all(NAME, warnings)
    for name, account in accounts.items():
        print(f'{name}: {account}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument('input', nargs='+', help='pictures, a folder or quoted glob of them, a '
                        'video, or a bag of any kind')
    parser.add_argument('--output', type=Path, default=Path('depth_output'))
    parser.add_argument('--depth', action='append', choices=list(FORMATS), default=[],
                        help='once for each kind; png, the default: 16 bit, millimetres; kitti: '
                        '16 bit, 1/256 m; 0 is unknown in both; npy, npz, pfm, exr: float32 '
                        'metres with Inf and NaN by REP 117; exr needs OpenEXR')
    parser.add_argument('--preview', action='store_true', help='depth in colours, too')
    parser.add_argument('--preview-far', type=positive, default=EstimateOptions.preview_far,
                        help='metres of the last colour')
    parser.add_argument('--cloud', action='store_true', help='coloured points, too')
    parser.add_argument('--cloud-format', choices=list(CLOUDS), default='',
                        help="the points' kind of file; ply is the default")
    parser.add_argument('--fov', type=angle, default=0.0,
                        help='degrees from the left to the right side of the images, for --cloud '
                        'where the input has no camera_info')
    parser.add_argument('--video', action='store_true', help='image beside depth as MP4, too')
    parser.add_argument('--rate', type=positive, default=0.0,
                        help="the video's frames a second; 0 takes the input's")
    parser.add_argument('--view', action='store_true', help='show image, depth and points of '
                        'every frame in Rerun (pip install rerun-sdk)')
    parser.add_argument('--view-file', type=Path, metavar='FILE.rrd',
                        help='write what --view shows, for Rerun to open')
    parser.add_argument('--image', default='', metavar='TOPIC', help='the image topic of a bag')
    parser.add_argument('--overwrite', action='store_true', help='make files anew that are there')
    parser.add_argument('--stats', action='store_true', help='print time and peak memory')
    add_network_arguments(parser)
    return parser


if __name__ == '__main__':
    sys.exit(main())
