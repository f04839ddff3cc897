# SPDX-License-Identifier: Apache-2.0
"""What each step of the fast path gains, and what each stage of a frame takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ZoeDepthForDepthEstimation

from ...core.backends import Network, forward
from ...core.backends.openvino import openvino_backend
from ...core.checkpoint import read_checkpoint
from ...core.families.zoedepth import patch, record
from ...core.families.zoedepth.family import read_preprocessing
from ...core.families.zoedepth.transforms import Transforms
from ...core.precision import PRECISIONS
from ...core.running.planner import Planner
from ...core.weights import load_model
from .device import stopwatch
from .images import textured
from .models import NoModelError, checkpoint
from .rivals import ByHand, restore_padded
from .turns import Contenders, take_turns

Say = Callable[[str], None]


def measure_steps(models: list[str], size: str, device: torch.device, precision: str, *,
                  repeats: int, seconds: float, say: Say) -> list[dict[str, Any]]:
    """
    Measure the network step by step, and the stages around it, on one image.

    :param models: of :data:`.models.MODELS`.
    :param size: of the image, as 640x480.
    :param precision: the last step's on CUDA; on the CPU all is float32.
    :param repeats: the most rounds.
    :param seconds: the time to keep to for a model, but for the fewest rounds.
    :param say: called with what was left out, and why.
    :return: a row a step or stage.
    """
    width, height = (int(side) for side in size.split('x'))
    rows: list[dict[str, Any]] = []
    for name in models:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                folder = checkpoint(name, Path(scratch))
            except NoModelError as error:
                say(f'{name} is left out: {error}')
                continue
            contenders = _contenders(folder, textured(width, height), device, precision)
            times, _ = take_turns(contenders, repeats, seconds)
        rows += [{'model': name, 'size': size, 'step': step, **_figures(values)}
                 for step, values in times.items()]
    return rows


def _contenders(folder: Path, image: NDArray[np.uint8], device: torch.device,
                precision: str) -> Contenders:
    if device.type == 'cuda':
        torch.cuda.set_device(device)  # Triton launches on the current one
    files = read_checkpoint(str(folder))
    preprocessing = read_preprocessing(files)
    original = load_model(ZoeDepthForDepthEstimation, files).to(device)
    height, width = image.shape[:2]
    network_size = preprocessing.network_size(height, width)
    uploaded = torch.from_numpy(image).to(device)
    transforms = Transforms(preprocessing)
    pixels = transforms.to_network(uploaded, network_size)[None].contiguous()
    runs: dict[str, Callable[[], Any]] = {
        f'network: {step}': partial(network, pixels)
        for step, network in _steps(original, folder, pixels, precision).items()}
    by_hand = ByHand(str(folder), str(device), 'fp32')
    depth = torch.rand(network_size, device=device)
    runs |= {'before: transformers': partial(by_hand.pixels, [image]),
             'before: ours': partial(_prepare, image, network_size, transforms, device),
             'after: transformers': lambda: restore_padded(depth[None], height, width).cpu(),
             'after: ours': lambda: transforms.to_depth(depth, height, width).cpu()}
    return {name: partial(stopwatch, torch.inference_mode()(run), device)
            for name, run in runs.items()}


def _steps(original: nn.Module, folder: Path, pixels: Tensor,
           precision: str) -> dict[str, Network]:
    """Return the network after each step, every step on top of those before it."""
    recorded = deepcopy(original)
    record(recorded)
    patched = patch(deepcopy(original))
    channels_last: Any = deepcopy(patched)
    channels_last.to(memory_format=torch.channels_last)
    steps: dict[str, Network] = {
        'transformers': lambda pixels: original(pixels).predicted_depth,
        '+ position encodings kept': lambda pixels: recorded(pixels).predicted_depth,
        '+ neck and metric head rewritten': lambda pixels: patched(pixels).predicted_depth,
        '+ channels last': partial(forward, channels_last)}
    if next(original.parameters()).device.type == 'cuda':
        low = deepcopy(channels_last)
        for name, module in low.named_children():
            if name != 'metric_head':
                module.to(PRECISIONS[precision])
        steps[f'+ {precision} but for the metric head'] = partial(forward, low)
        steps['+ CUDA graph'] = Planner(deepcopy(low))
    elif find_spec('openvino') is not None:
        build = openvino_backend(folder).build
        steps['OpenVINO instead of torch'] = build(original, pixels, Event())
    return steps


def _prepare(image: NDArray[np.uint8], size: tuple[int, int], transforms: Transforms,
             device: torch.device) -> Tensor:
    return transforms.to_network(torch.from_numpy(image).to(device), size)


def _figures(values: list[float]) -> dict[str, Any]:
    low, median, high = (float(f'{value:.4g}') for value in np.percentile(values, (10, 50, 90)))
    return {'ms': median, 'spread_ms': [low, high], 'calls': len(values)}
