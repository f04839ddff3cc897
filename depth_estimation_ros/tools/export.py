# SPDX-License-Identifier: Apache-2.0
"""Write a model as one graph, pixels in and depth out, for ONNX Runtime, TensorRT or OpenVINO."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

from ..core.export import ExportOptions, export_model
from ..core.families.base import Size
from ..offline.command import run_command
from ..resources import model_folder

NAME = 'export'

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml'}


def main() -> int:
    """Run from the command line."""
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)  # it warns of torchvision's absence
    warnings.simplefilter('ignore', FutureWarning)  # of torch in itself
    options = _parser().parse_args()
    return run_command(NAME, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    suffix = SUFFIXES[options.format]
    out = options.output
    path = out if out.suffix == suffix else out.with_name(out.name + suffix)
    deviation = export_model(ExportOptions(
        model_folder(options.model), options.size, options.network, options.revision,
        options.domain), path)
    print(f'{path}: differs from torch by {deviation.mean:.1e} of the depth in the mean, '
          f'{deviation.p99:.1e} at the 99th percentile')
    print(f'{path.with_suffix(".yaml")}: its card, by which "model: {path.absolute()}" serves it')
    return 0


def _size(text: str) -> Size:
    """Return a size that is written rows first: 480x640."""
    rows, separator, columns = text.partition('x')
    if not separator or not (rows.isdecimal() and columns.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not HEIGHTxWIDTH, as 480x640")
    return Size(int(rows), int(columns))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument('model', help='hub id, folder, or demo')
    parser.add_argument('output', type=Path, help='the file to make; its card comes beside it')
    parser.add_argument('--format', choices=list(SUFFIXES), default='onnx')
    parser.add_argument('--size', type=_size, required=True, metavar='HEIGHTxWIDTH',
                        help="of the camera's images, which the graph takes, as 480x640")
    parser.add_argument('--network', type=_size, default=Size(0, 0), metavar='HEIGHTxWIDTH',
                        help="what the network sees of them; without it the checkpoint's own size")
    parser.add_argument('--revision', default=ExportOptions.revision,
                        help="the hub's branch, tag or commit")
    parser.add_argument('--domain', default=ExportOptions.domain,
                        help='the metric head of a model with several: nyu, kitti, or auto')
    return parser


if __name__ == '__main__':
    sys.exit(main())
