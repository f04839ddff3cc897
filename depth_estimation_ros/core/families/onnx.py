# SPDX-License-Identifier: Apache-2.0
"""A network of one's own: an ONNX or OpenVINO file, and a card that says what its numbers mean."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backends.openvino import load_openvino
from ..checkpoint import Checkpoint
from ..errors import CheckpointError
from ..frame import Frame
from .base import Family, Quantity, Size
from .card import Card
from .single_image import SingleImage

PROPORTION = 1.5
"""How many times longer or shorter a map may be than its image: sides are rounded to patches."""

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From pixels, float32 N×3×H×W, to the wanted output."""


class Network(nn.Module):
    """An ONNX file run by OpenVINO or ONNX Runtime, one image after the other."""

    anchor: Tensor

    def __init__(self, path: Path, output: str, channel: int = 0) -> None:
        """
        Load a file.

        :param output: the name of the output; '' takes the first.
        :param channel: the one to take where it has several.
        :raises CheckpointError: when neither runtime can load the file.
        """
        super().__init__()
        self.register_buffer('anchor', torch.zeros(1), persistent=False)
        self._run, self._channel = _session(path, output), channel

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels, N×3×H×W, to the network's numbers, N×h×w."""
        images = pixels.float().cpu().numpy()
        seen = Size(*images.shape[-2:])
        maps = np.stack([map_of(self._run(image[None]), self._channel, seen) for image in images])
        values: Tensor = torch.from_numpy(maps)
        return values.to(device=pixels.device)


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

    def __init__(self, network: Network, card: Card) -> None:
        super().__init__(network, card.preprocessing(), card.quantity, card.range)
        self._reference, self._estimates = card.reference_focal_length, card.estimates_focal_length
        self.native, self.per_frame = False, bool(self._reference)

    def result(self, values: Tensor, frame: Frame) -> Tensor:
        """Bring the map to the image's size, and to metres where that takes a focal length."""
        depth = super().result(values, frame)
        if not self._reference or frame.focal_length is None:
            return depth
        height, width = frame.image.shape[:2]
        focal_length = frame.focal_length * self.preprocessing.resized(height, width).width / width
        metres: Tensor = depth * (focal_length / self._reference)
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
    return OnnxModel(Network(checkpoint.folder, card.output, card.channel), card)


def _session(path: Path, output: str) -> Run:
    """Return what runs the file: ONNX Runtime where it has a GPU's provider, else OpenVINO."""
    failures = []
    for name, load in _runtimes():
        if path.suffix == '.xml' and load is not run_by_openvino:
            continue
        try:
            return load(path, output)
        except Exception as error:  # of a runtime's own kinds; the last one's reason is told
            failures.append(f'{name}: {(str(error).strip() or repr(error)).splitlines()[0]}')
    raise CheckpointError(f"'{path}' cannot be loaded: " + ('; '.join(failures) or (
        'what runs it is not installed: pip install openvino')))


def _runtimes() -> list[tuple[str, Callable[[Path, str], Run]]]:
    """Return the runtimes that are installed, the best first."""
    runtimes: list[tuple[str, Callable[[Path, str], Run]]] = []
    if find_spec('openvino'):
        runtimes.append(('OpenVINO', run_by_openvino))
    if find_spec('onnxruntime'):
        import onnxruntime
        gpu = 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
        runtimes.insert(0 if gpu else len(runtimes), ('ONNX Runtime', run_by_onnxruntime))
    return runtimes


def run_by_openvino(path: Path, output: str) -> Run:
    """Return what runs an .onnx or .xml file in OpenVINO on the CPU; '' is its first output."""
    compiled = load_openvino().Core().compile_model(path, 'CPU', {
        'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()})
    port = compiled.output(output or 0)
    return lambda pixels: np.array(compiled({0: pixels})[port])


def run_by_onnxruntime(path: Path, output: str) -> Run:
    """Return what runs an .onnx file in ONNX Runtime, on a GPU where its package has one."""
    import onnxruntime
    wanted = ('TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider')
    available = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(
        str(path), providers=[name for name in wanted if name in available])
    name = session.get_inputs()[0].name
    outputs = [output or session.get_outputs()[0].name]
    return lambda pixels: np.asarray(session.run(outputs, {name: pixels})[0])
