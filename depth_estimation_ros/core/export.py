# SPDX-License-Identifier: Apache-2.0
"""A model as one graph of one image size, pixels in and depth out, in a file for any runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from torch import Tensor, nn

from . import device_constants, precision
from .backends.eager import forward
from .backends.openvino import load_openvino
from .backends.reason import reason
from .checkpoint import Checkpoint, read_checkpoint
from .errors import CheckpointError, DepthError
from .families import onnx
from .families.base import Family, Size
from .families.registry import load_family
from .frame import Depth, Frame, Image
from .resample import static

MAX_DEVIATION = precision.Deviation(mean=1e-3, p99=1e-2)
"""Relative to torch's depth; where a graph is farther from it, it is not kept."""

LARGEST = 1 << 30
"""Bytes of weights that an ONNX file holds itself; protobuf ends at twice as many."""

INPUT, OUTPUT = 'image', 'depth'


@dataclass(frozen=True)
class ExportOptions:
    """What to export."""

    model: str
    """A folder, or an id on the Hugging Face hub."""
    size: Size
    """Of the camera's images, which the graph takes."""
    network: tuple[int, int] = (0, 0)
    """What the network within sees of them; 0 takes the checkpoint's own, or follows the other."""
    revision: str = 'main'
    """The hub's branch, tag or commit."""
    domain: str = 'auto'
    """The metric head that serves every image; 'auto' lets the model choose."""


class WholeModel(nn.Module):
    """A family's way from pixels to depth, for images of one size."""

    def __init__(self, family: Family, size: Size) -> None:
        super().__init__()
        self.network = family.network
        self._family, self._frame = family, Frame(np.zeros((*size, 3), np.uint8))

    def forward(self, image: Tensor) -> Tensor:
        """Return depth, float32, 1×H×W, for RGB from 0 to 255, float32, 1×3×H×W."""
        pixels = self._family.inputs(image[0].permute(1, 2, 0).contiguous(), self._frame)
        values, _ = self._family.routed(forward(self.network, pixels[None]))
        return self._family.result(values[0], self._frame)[None]


def export_model(options: ExportOptions, path: Path) -> precision.Deviation:
    """
    Write a model as one static graph with its card beside it, whole or not at all.

    :param path: the file to make: .onnx, or .xml for OpenVINO, whose weights go into a .bin file.
    :return: how far its depth is from torch's, run on the CPU.
    :raises CheckpointError: when the model cannot be loaded or exported.
    :raises DepthError: when the file is there already, or what writes it is not installed.
    """
    write, run = _format(path)
    if path.exists():
        raise DepthError(f'{path} exists: name another file, or remove it')
    checkpoint = read_checkpoint(options.model, revision=options.revision)
    family = _loaded(checkpoint, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.export-') as scratch:
        made = Path(scratch) / path.name
        references = [_depth(family, image) for image in _images(options.size)]
        try:
            write(_program(family, options.size), made)
        except Exception as error:  # of the exporter; many kinds
            raise CheckpointError(f"model '{options.model}' cannot be exported: {_cause(error)}"
                                  ) from error
        deviation = _checked(run(made), references, options)
        card = made.with_suffix('.yaml')
        card.write_text(_card(checkpoint, family, options))
        for file in sorted(Path(scratch).iterdir(), key=lambda file: file == made):
            file.replace(path.parent / file.name)  # the graph comes last
    return deviation


def _format(path: Path) -> tuple[Callable[[Any, Path], None], Callable[[Path], onnx.Run]]:
    """Return what writes a kind of file and what runs it on the CPU."""
    onnx_packages = ('onnx', 'onnxscript', 'onnxruntime')
    kinds = {'.onnx': (_write_onnx, onnx.run_by_onnxruntime, onnx_packages),
             '.xml': (_write_openvino, onnx.run_by_openvino, ('openvino',))}
    if path.suffix not in kinds:
        raise DepthError(f"'{path}' must end with {' or '.join(kinds)}")
    write, run, packages = kinds[path.suffix]
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise DepthError(f'{path.suffix} files need what is not installed: pip install '
                         f'{" ".join(missing)}')
    return write, lambda file: run(file, '')


def _loaded(checkpoint: Checkpoint, options: ExportOptions) -> Family:
    family = load_family(checkpoint, *options.network, domain=options.domain)
    if not family.native or family.needs_prompt:
        raise CheckpointError(f"model '{checkpoint.name}' cannot be exported: it " + (
            'takes a prompt beside the image' if family.native else 'is a graph in a file already'
        ))
    family.size(*options.size)
    return family


def _images(size: Size) -> list[Image]:
    return [np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            for image in precision.sample_images()]


@torch.inference_mode()
def _depth(family: Family, image: Image) -> Depth:
    """Return the depth as the node gets it from torch."""
    frame = Frame(image)
    pixels = family.inputs(torch.from_numpy(image), frame)
    values, _ = family.routed(forward(family.network, pixels[None]))
    return family.result(values[0], frame).numpy()


@torch.no_grad()
def _program(family: Family, size: Size) -> Any:
    model, image = WholeModel(family, size).eval(), torch.zeros(1, 3, *size)
    try:
        with static():
            model(image)  # makes the constants of the size, which tracing would not keep
            return torch.export.export(model, (image,), strict=False)
    finally:
        device_constants.forget()


def _write_onnx(program: Any, path: Path) -> None:
    weights = sum(weight.numel() * weight.element_size()
                  for weight in (*program.state_dict.values(), *program.constants.values()))
    torch.onnx.export(program, (), path, dynamo=True, input_names=[INPUT], verbose=False,
                      output_names=[OUTPUT], external_data=weights > LARGEST)


def _write_openvino(program: Any, path: Path) -> None:
    ov = load_openvino()
    model = ov.convert_model(program)
    model.inputs[0].set_names({INPUT})
    model.outputs[0].set_names({OUTPUT})
    ov.save_model(model, path, compress_to_fp16=False)


def _cause(error: BaseException) -> str:
    """Return what the exporter's errors come from, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return reason(error)


def _checked(run: onnx.Run, references: list[Depth],
             options: ExportOptions) -> precision.Deviation:
    """Return how far a graph is from torch; :raises CheckpointError: when that is too far."""
    planes = (image.transpose(2, 0, 1)[None].astype(np.float32)
              for image in _images(options.size))
    deviation = precision.deviation([run(image)[0] for image in planes], references)
    if not deviation.within(MAX_DEVIATION):
        raise CheckpointError(f"model '{options.model}' gives other depth as a graph than in "
                              f'torch, so it was not kept: it is {deviation}')
    return deviation


def _card(checkpoint: Checkpoint, family: Family, options: ExportOptions) -> str:
    """Return the card by which :mod:`.families.onnx` serves the file."""
    range_ = {'range': list(family.range)} if family.range else {}
    blank = Frame(np.zeros((*options.size, 3), np.uint8))
    own = {'estimates_focal_length': True} if family.magnification(*options.size) is None else {}
    card: str = yaml.safe_dump({
        'quantity': family.quantity_of(blank).name.lower(), 'height': options.size.height,
        'width': options.size.width, **range_, **own,
        'factor': 1.0, 'mean': [0.0] * 3, 'std': [1.0] * 3,
        'output': OUTPUT, 'licence': f'that of the weights of {checkpoint.name}',
        'source': f'exported by depth_estimation_ros from {checkpoint.name}, revision '
                  f'{options.revision}; the network within sees '
                  f'{family.size(*options.size)}'}, sort_keys=False)
    return card
