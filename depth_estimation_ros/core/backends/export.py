# SPDX-License-Identifier: Apache-2.0
"""
Write a checkpoint's network as an OpenVINO graph of one input shape, in a process of its own.

torch.export changes torch for the whole process while it runs, so it must not run beside frames;
and this process may be nice to the one that serves them.
"""

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from ..checkpoint import read_checkpoint
from .eager import forward
from .openvino import load_openvino
from .reason import reason

NICENESS = 10


class Metres(nn.Module):
    """A patched model with one input and one output, as an exported graph has."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Return metres, N×height×width, for normalised pixels, N×3×height×width."""
        return forward(self.model, pixels)


def write_graph(folder: Path, shape: tuple[int, ...], path: Path, domain: str = 'auto') -> None:
    """
    Write the graph of a checkpoint in float32, its position encodings as constants.

    :param folder: the checkpoint's.
    :param shape: batch, channels, height and width of the network's input.
    :param path: the .xml file to write; the constants go into a .bin file beside it.
    :param domain: the metric head that serves every image; 'auto' leaves it to the model.
    :raises CheckpointError: when the checkpoint cannot be loaded.
    """
    ov = load_openvino()
    from ..families.registry import load_family  # which needs this package for its ONNX files
    checkpoint = read_checkpoint(str(folder), local_files_only=True)
    model = load_family(checkpoint, domain=domain).network
    pixels = torch.zeros(shape)
    with torch.no_grad():
        forward(model, pixels[:1])  # records the encodings
        program = torch.export.export(Metres(model), (pixels,), strict=False)
        ov.save_model(ov.convert_model(program), path, compress_to_fp16=False)


def _end_with_parent() -> None:
    """End when the pipe from the parent closes, which it also does when the parent is killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main() -> NoReturn:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog='export', description=main.__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('domain')
    parser.add_argument('shape', type=int, nargs=4,
                        metavar=('BATCH', 'CHANNELS', 'HEIGHT', 'WIDTH'))
    parser.add_argument('path', type=Path)
    options = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    torch.set_num_threads(1)
    try:
        write_graph(options.folder, tuple(options.shape), options.path, options.domain)
    except Exception as error:  # the process's boundary: its last line is what the user reads
        print(reason(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == '__main__':
    main()
