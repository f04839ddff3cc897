# SPDX-License-Identifier: Apache-2.0
"""A network of one's own: an ONNX or OpenVINO file, and a card that says what its numbers mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backends.openvino import load_openvino
from ..backends.reason import reason
from ..checkpoint import Checkpoint
from ..device_errors import is_out_of_memory
from ..errors import CheckpointError, ImageError
from ..frame import Frame
from . import focal_length
from .base import Family, Quantity, Size
from .card import Card
from .graph_ports import Port, map_port, pixels_port
from .single_image import SingleImage

PROPORTION = 1.5
"""How many times longer or shorter a map may be than its image: sides are rounded to patches."""

Run = Callable[[NDArray[np.float32]], NDArray[Any]]
"""From pixels, float32 N×3×H×W, to the wanted output."""


@dataclass(frozen=True)
class Graph:
    """A file in its runtime."""

    pixels: Port
    """The input that takes the pixels."""
    run: Run

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[Any]:
        """Return the wanted output for pixels, float32 N×3×H×W."""
        return self.run(pixels)


class Network(nn.Module):
    """An ONNX file run by OpenVINO or ONNX Runtime, one image after the other."""

    anchor: Tensor

    def __init__(self, path: Path, card: Card) -> None:
        """
        Load a file.

        :raises CheckpointError: when neither runtime can load the file, or it is not what its
            card says.
        """
        super().__init__()
        self.register_buffer('anchor', torch.zeros(1), persistent=False)
        self._path, self._channel = path, card.channel
        graph = _loaded(path, card.output)
        if not graph.pixels.takes((1, 3, card.height, card.width)):
            raise CheckpointError(
                f"'{path}' cannot be used: the graph takes {graph.pixels}, and by its card pixels "
                f'are 1x3x{card.height}x{card.width}: correct height and width in the card, or '
                'export the graph with that input')
        self._run, self.pixels = graph.run, graph.pixels

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels, N×3×H×W, to the network's numbers, N×h×w."""
        images = pixels.float().cpu().numpy()
        seen = Size(*images.shape[-2:])
        maps = np.stack([map_of(self._found(image[None]), self._channel, seen)
                         for image in images])
        values: Tensor = torch.from_numpy(maps)
        return values.to(device=pixels.device)

    def _found(self, pixels: NDArray[np.float32]) -> NDArray[Any]:
        """Run the graph; :raises CheckpointError: when it does not run on these pixels."""
        try:
            return self._run(pixels)
        except Exception as error:  # of a runtime's own kinds
            if is_out_of_memory(error):
                raise
            shape = 'x'.join(map(str, pixels.shape))
            raise CheckpointError(f"'{self._path}' does not run on pixels of {shape}: "
                                  f'{reason(error)}') from error


def map_of(found: NDArray[Any], channel: int, seen: Size) -> NDArray[np.float32]:
    """
    Return the map, h×w, in what a network gives for one image.

    :param found: h×w, C×h×w or h×w×C, with any dimensions of one before.
    :param channel: the one of C that is the depth.
    :param seen: the size of the image, in whose proportion the map is.
    :raises CheckpointError: when there is no such map in it.
    """
    shape = tuple(found.shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    maps = found.reshape(shape)
    if len(shape) == 2:
        maps = maps[None]
    elif len(shape) == 3 and not _is_of(seen, *shape[1:]) and _is_of(seen, *shape[:2]):
        maps = np.moveaxis(maps, 2, 0)
    if maps.ndim != 3 or channel >= len(maps) or not _is_of(seen, *maps.shape[1:]):
        given = 'x'.join(map(str, found.shape))
        raise CheckpointError(f'the network gives {given} for an image of {seen}: there is no map '
                              f'of that proportion in channel {channel} of it; name another '
                              'output or channel in the card')
    return np.ascontiguousarray(maps[channel], np.float32)


def _is_of(seen: Size, height: int, width: int) -> bool:
    """Whether a map of this size can be of an image, whose sides a network may round."""
    return bool(height and width) and 1 / PROPORTION < (
        height * seen.width / (width * seen.height)) < PROPORTION


class OnnxModel(SingleImage):
    """An ONNX file by its card."""

    def __init__(self, network: nn.Module, card: Card, pixels: Port) -> None:
        super().__init__(network, card.preprocessing(), card.quantity, card.range)
        self._pixels = pixels
        self._reference, self._estimates = card.reference_focal_length, card.estimates_focal_length
        self.native, self.per_frame = False, bool(self._reference)

    def size(self, height: int, width: int) -> Size:
        """Return the size at which the network sees an image; :raises ImageError: if it cannot."""
        size = super().size(height, width)
        if not self._pixels.takes((1, 3, *size)):
            raise ImageError(f'image of {width}x{height} pixels would be seen at {size}, which '
                             'the graph does not take: correct keep_aspect_ratio and multiple in '
                             'its card')
        return size

    def inputs(self, image: Tensor, frame: Frame) -> Tensor:
        """
        Return the normalised pixels, float32, 3×height×width.

        :raises ImageError: when metres go by a focal length that is none.
        """
        if self._reference:
            focal_length.of(frame)
        return super().inputs(image, frame)

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """
        Bring the map to the image's size, and to metres where that takes a focal length.

        :raises ImageError: when metres go by a focal length that is none.
        """
        depth = super().result(values, frame)
        focal = focal_length.of(frame) if self._reference else None
        if focal is None:
            return depth
        height, width = frame.image.shape[:2]
        seen = focal * self.preprocessing.resized(height, width).width / width
        metres: Tensor = depth * (seen / self._reference)
        return metres

    def quantity_of(self, frame: Frame) -> Quantity:
        """Return what the numbers are: relative without the focal length that metres take."""
        if self._reference and frame.focal_length is None:
            return Quantity.RELATIVE_DEPTH
        return self.quantity

    def magnification(self, height: int, width: int) -> float | None:
        """Return None where metres go by the focal length already."""
        return None if self._reference or self._estimates else super().magnification(height, width)


def onnx(checkpoint: Checkpoint, height: int, width: int) -> Family:
    """
    Load an ONNX file with its card.

    :param height: rows that the network sees; 0 takes the card's.
    :param width: columns, likewise.
    :raises CheckpointError: when the file or its card cannot be used.
    """
    card = Card.read(checkpoint.folder.with_suffix('.yaml'))
    if height or width:
        raise CheckpointError(f"'{checkpoint.name}' sees images at the size of its card: set "
                              "'network.height' and 'network.width' to 0")
    network = Network(checkpoint.folder, card)
    return OnnxModel(network, card, network.pixels)


def _loaded(path: Path, output: str) -> Graph:
    """
    Return a file in ONNX Runtime where that has a GPU's provider, else in OpenVINO.

    :param output: the name of the output; '' takes the first.
    :raises CheckpointError: when no runtime loads it, or it is no way from pixels to a map.
    """
    failures = []
    for name, load in _runtimes():
        if path.suffix == '.xml' and load is not run_by_openvino:
            continue
        try:
            return load(path, output)
        except CheckpointError as error:
            raise CheckpointError(f"'{path}' cannot be used: {error}") from error
        except Exception as error:  # of a runtime's own kinds
            failures.append(f'{name}: {reason(error).rstrip(".")}')
    if not failures:
        raise CheckpointError(f"'{path}' cannot be loaded: what runs it is not installed: pip "
                              'install openvino')
    raise CheckpointError(f"'{path}' cannot be loaded: {'; '.join(failures)}. Fetch or export it "
                          'again, with every file of it')


def load_onnxruntime() -> Any:
    """Import ONNX Runtime, but not what reports its use over the network, on Linux since 1.29."""
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')  # by the Privacy.md in its package
    import onnxruntime
    return onnxruntime


def _runtimes() -> list[tuple[str, Callable[[Path, str], Graph]]]:
    """Return the runtimes that are installed, the best first."""
    runtimes: list[tuple[str, Callable[[Path, str], Graph]]] = []
    if find_spec('openvino'):
        runtimes.append(('OpenVINO', run_by_openvino))
    if find_spec('onnxruntime'):
        gpu = 'CUDAExecutionProvider' in load_onnxruntime().get_available_providers()
        runtimes.insert(0 if gpu else len(runtimes), ('ONNX Runtime', run_by_onnxruntime))
    return runtimes


def run_by_openvino(path: Path, output: str) -> Graph:
    """
    Return what runs an .onnx or .xml file in OpenVINO on the CPU.

    :param output: the name of the output; '' takes the first.
    :raises CheckpointError: when the graph is no way from pixels to a map.
    """
    compiled = load_openvino().Core().compile_model(path, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()})
    pixels, dtype = pixels_port(
        _openvino_port(port, min(port.get_names(), default='')) for port in compiled.inputs)
    map_port((_openvino_port(port, name) for port in compiled.outputs
              for name in sorted(port.get_names()) or ['']), output)
    port = compiled.output(output or 0)
    return Graph(pixels, lambda values: np.array(
        compiled({0: values.astype(dtype, copy=False)})[port]))


def _openvino_port(port: Any, name: str) -> Port:
    shape = port.partial_shape
    return Port(name, port.get_element_type().get_type_name(), None if (
        shape.rank.is_dynamic) else tuple(
            None if side.is_dynamic else side.get_length() for side in shape))


def run_by_onnxruntime(path: Path, output: str) -> Graph:
    """
    Return what runs an .onnx file in ONNX Runtime, on a GPU where its package has one.

    :param output: the name of the output; '' takes the first.
    :raises CheckpointError: when the graph is no way from pixels to a map.
    """
    onnxruntime = load_onnxruntime()
    wanted = ('TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider')
    available = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(
        str(path), providers=[name for name in wanted if name in available])
    pixels, dtype = pixels_port(map(_onnxruntime_port, session.get_inputs()))
    outputs = [map_port(map(_onnxruntime_port, session.get_outputs()), output).name]
    return Graph(pixels, lambda values: np.asarray(
        session.run(outputs, {pixels.name: values.astype(dtype, copy=False)})[0]))


def _onnxruntime_port(port: Any) -> Port:
    """Return a port; where the number of sides is unknown, ONNX Runtime tells none."""
    sides = tuple(side if isinstance(side, int) else None for side in port.shape or ())
    return Port(port.name, port.type.removeprefix('tensor(').removesuffix(')'), sides or None)
