# SPDX-License-Identifier: Apache-2.0
"""
The frame's way on a GPU, without one: operations as torch checks and counts them, no values.

A wheel of torch without CUDA needs a device guard that does nothing, three lines of C++ below.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import ZoeDepthForDepthEstimation
from transformers.models.beit.modeling_beit import BeitRelativePositionBias

from depth_estimation_ros.core import device_constants
from depth_estimation_ros.core.backends import forward
from depth_estimation_ros.core.batches import BatchRunner
from depth_estimation_ros.core.confidence import without_low_confidence
from depth_estimation_ros.core.correction import KINDS, SCALE, Correction
from depth_estimation_ros.core.families.recorded import position_encodings, set_position_encodings
from depth_estimation_ros.core.families.zoedepth import patch
from depth_estimation_ros.core.families.zoedepth.family import ZoeDepth, float32_parts
from depth_estimation_ros.core.families.zoedepth.transforms import Preprocessing
from depth_estimation_ros.core.frame import Frame
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.core.precision import lowered
from depth_estimation_ros.core.rigid import Rigid
from depth_estimation_ros.core.shaping import change
from depth_estimation_ros.core.shaping.edges import mask_edges
from depth_estimation_ros.core.shaping.reduce import PICKS, Reduction, reduce_depth
from depth_estimation_ros.core.shaping.temporal import Moment, TemporalFilter
from depth_estimation_ros.core.validity import mark_range
from depth_estimation_ros.tools.architectures import full_size_config, tiny_config

CUDA = torch.device('cuda', 0)
GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
namespace c10::impl { C10_REGISTER_GUARD_IMPL(CUDA, NoOpDeviceGuardImpl<DeviceType::CUDA>) }
"""

OPERATIONS = 810
"""The most operations that are no views, of a full-size frame at fp16."""

GIBIBYTES = 2.45
"""The most that these operations write, at network size 512x384."""

NOTHING = (torch.ops.aten.detach.default, torch.ops.aten.dropout.default)
"""Operations that do nothing at inference."""

PREPROCESSING = Preprocessing(height=384, width=512)


@pytest.fixture(scope='module', autouse=True)
def _guard(tmp_path_factory: pytest.TempPathFactory) -> None:
    if torch.version.cuda is not None:
        return
    if shutil.which('g++') is None:
        pytest.skip('a torch without CUDA needs a C++ compiler for this, and g++ is not there')
    folder = tmp_path_factory.mktemp('guard')
    (folder / 'guard.cpp').write_text(GUARD)
    root = Path(torch.__file__).parent
    for standard in ('c++20', 'c++17'):
        done = subprocess.run(
            ['g++', f'-std={standard}', '-shared', '-fPIC', f'-I{root / "include"}',
             str(folder / 'guard.cpp'), '-o', str(folder / 'guard.so'), f'-L{root / "lib"}',
             '-lc10'], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    ctypes.CDLL(str(folder / 'guard.so'))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """A mode whose tensors no cache keeps beyond the test."""
    cached = BeitRelativePositionBias.__dict__['generate_relative_position_index']
    computed = cached.__wrapped__
    if isinstance(cached, staticmethod):
        computed = staticmethod(computed.__wrapped__)
    monkeypatch.setattr(BeitRelativePositionBias, 'generate_relative_position_index', computed)
    device_constants.forget()
    with torch.inference_mode(), FakeTensorMode() as mode:
        yield mode
    device_constants.forget()


def on_cuda(model: nn.Module) -> Any:
    """Return a copy of a model whose weights are on a GPU, as far as torch knows."""
    memo = {id(tensor): torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype,
                                            device=CUDA)
            for tensor in [*model.parameters(), *model.buffers()]}
    return deepcopy(model, memo)


def fake_model(config: Any, precision: torch.dtype) -> Any:
    """Return a patched model in a precision, of fake weights; channels last, as it is placed."""
    model = patch(ZoeDepthForDepthEstimation(config).eval().requires_grad_(False))
    model = on_cuda(model)
    return model if precision == torch.float32 else lowered(
        model, precision, float32_parts(model))


def frame(model: Any, runner: BatchRunner, images: Tensor, flip: bool) -> tuple[Tensor, Tensor]:
    """Run images from their pixels to their depth as a captured graph does."""
    one = Frame(np.empty(images.shape[1:], np.uint8))
    pixels = runner._before(list(images), [one] * len(images), flip=flip)
    return runner._after_alike(one, flip, forward(model, pixels))


class Meter(TorchDispatchMode):
    """Counts operations that are no views, and the bytes that they write."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.namespace == 'aten' and not func.is_view and func not in NOTHING:
            self.operations[str(func)] += 1
            self.bytes += sum(leaf.nbytes for leaf in tree_leaves(result)
                              if isinstance(leaf, Tensor))
        return result


@pytest.mark.parametrize('precision', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('heads', [1, 2])
@pytest.mark.parametrize('flip', [False, True])
def test_a_frame_runs_on_the_device_alone(
        fake: FakeTensorMode, precision: torch.dtype, heads: int, flip: bool) -> None:
    model = fake_model(tiny_config(heads), precision)
    runner = BatchRunner(CUDA, ZoeDepth(model, PREPROCESSING, [(0.001, 10.0)]))
    for width, height in ((640, 480), (1242, 375)):
        images = torch.empty(2, height, width, 3, dtype=torch.uint8, device=CUDA)
        set_position_encodings(model, None)
        for _ in range(2):  # the first one records the encodings
            maps, told = frame(model, runner, images, flip)
        assert maps.device == told.device == CUDA
        assert maps.shape == (2, 1 + flip, height, width) and maps.dtype == torch.float32
        assert told.shape == (2, 3)


@pytest.mark.parametrize('step', [
    *(Correction(kind, 2.0, 0.5 * (kind != SCALE)).metres for kind in KINDS),
    partial(mask_edges, jump=0.05, width=2), partial(mark_range, near=0.1, far=10.0),
    lambda depth: without_low_confidence(depth, depth, 0.5),
    *(partial(reduce_depth, reduction=Reduction.by_stride((480, 640), 4), pick=pick)
      for pick in PICKS)])
def test_depth_is_shaped_on_the_device_alone(fake: FakeTensorMode, step: Any) -> None:
    for _ in range(2):  # the first one makes what depends on the size alone
        depth = step(torch.empty(480, 640, device=CUDA))
    assert depth.device == CUDA and depth.dtype == torch.float32


@pytest.mark.parametrize('moves', [False, True])
def test_depth_is_steadied_on_the_device_alone(fake: FakeTensorMode, moves: bool,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, 'upload', lambda image, device: torch.empty(
        image.shape, dtype=torch.uint8, device=device))
    steady, lens = TemporalFilter(), Pinhole(500.0, 500.0, 319.5, 239.5)
    pose = Rigid(np.eye(3), np.array([0.0, 0.0, 0.1])) if moves else None
    for index in range(3):
        image = np.zeros((480, 640, 3), np.uint8)
        depth = steady(torch.empty(480, 640, device=CUDA),
                       Moment(100.0 + index / 10, image, lens, pose), memory=16, gate=0.1)
        assert depth.device == CUDA and depth.dtype == torch.float32
    assert steady.steadied.device == CUDA


@pytest.mark.parametrize(('what', 'error'), [
    (lambda metres: metres.sum().item(), DataDependentOutputException),
    (lambda metres: metres[metres > 1], DynamicOutputShapeException),
    (lambda metres: metres.nonzero(), DynamicOutputShapeException),
    (lambda metres: metres + torch.zeros(2, 3), RuntimeError)],
    ids=['item', 'mask', 'nonzero', 'host and device'])
def test_what_would_wait_for_the_device_is_found(
        fake: FakeTensorMode, what: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        what(torch.empty(2, 3, device=CUDA))


def test_every_position_bias_has_strides_of_eight(fake: FakeTensorMode) -> None:
    model = fake_model(tiny_config(), torch.float16)
    for height, width in ((384, 512), (384, 1280), (96, 160)):
        set_position_encodings(model, None)
        forward(model, torch.empty(1, 3, height, width, device=CUDA))
        biases = [encoding for encoding in position_encodings(model)
                  if encoding is not None and encoding.ndim == 4]
        assert biases
        for bias in biases:
            assert bias.stride(-1) == 1
            assert all(stride % 8 == 0 for stride in bias.stride()[:-1]), bias.stride()


def test_a_full_size_frame_has_few_operations_and_writes_little(fake: FakeTensorMode) -> None:
    model = fake_model(full_size_config(), torch.float16)
    runner = BatchRunner(CUDA, ZoeDepth(model, PREPROCESSING, [(0.001, 10.0)]))
    images = torch.empty(1, 480, 640, 3, dtype=torch.uint8, device=CUDA)
    run = partial(frame, model, runner, images, False)
    run()
    with Meter() as meter:
        run()
    assert sum(meter.operations.values()) <= OPERATIONS, meter.operations.most_common(12)
    assert meter.bytes <= GIBIBYTES * 2**30, f'{meter.bytes / 2**30:.2f} GiB'
