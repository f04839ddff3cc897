# SPDX-License-Identifier: Apache-2.0
"""The estimator: transformers' metres for any image, and a clear answer when there are none."""

from __future__ import annotations

import gc
import logging
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from depth_estimation_ros.core import device_errors, loaded, precision
from depth_estimation_ros.core import estimator as module
from depth_estimation_ros.core.errors import (
    CheckpointError,
    DeviceError,
    DeviceLostError,
    ImageError,
)
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
from depth_estimation_ros.core.families.recorded import position_encodings
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.precision import Deviation, deviation
from depth_estimation_ros.core.running.planner import Planner

from .conftest import (
    SIZES,
    always,
    smooth_image,
    stock_depth,
    stock_model,
    stock_pixels,
    stock_processor,
)

Factory = Callable[..., DepthEstimator]
Depth = NDArray[np.float32]


@pytest.fixture
def own(checkpoint_of: Callable[..., Path]) -> Factory:
    """A function from options to an estimator that a test may change."""
    def make(**options: Any) -> DepthEstimator:
        return DepthEstimator(
            EstimatorOptions(**{
            'model': str(checkpoint_of()), 'device': 'cpu', 'backend': 'torch', **options}))
    return make


def worst(depth: Depth, reference: Depth) -> float:
    assert depth.dtype == np.float32 and depth.shape == reference.shape
    return float(np.max(np.abs(depth - reference) / np.abs(reference)))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING and 'depth_estimation_ros' in record.name]


class Instead:
    """Takes a planner's place: changes what it is given or returns."""

    close = staticmethod(lambda: None)
    release_graphs = staticmethod(lambda: False)
    backend, graphs, captures = 'torch', None, False

    def __init__(self, planner: Callable[[Tensor], Tensor],
                 change: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> None:
        self.planner, self.change = planner, change
        self.batches: list[int] = []

    def __call__(self, pixels: Tensor) -> Tensor:
        self.batches.append(len(pixels))
        return self.change(self.planner, pixels)


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Instead]:
    """A function that puts a function of (planner, pixels) in the planner's place."""
    def put(estimator: DepthEstimator, change: Callable[..., Tensor]) -> Instead:
        stand_in = Instead(estimator.loaded.planner, change)
        monkeypatch.setattr(estimator.loaded, 'planner', stand_in)
        return stand_in
    return put


@pytest.mark.parametrize(('heads', 'bins', 'side', 'width', 'height'), [
    (2, 'softplus', 384, 640, 480),
    *((heads, bins, 192, *size) for heads in (2, 1) for bins in ('softplus', 'normed')
      for size in SIZES)])
def test_metres_are_those_of_transformers(
        estimator_of: Factory, heads: int, bins: str, side: int, width: int, height: int) -> None:
    estimator = estimator_of(heads, bins, side, side * 4 // 3)
    image = smooth_image(width, height)
    processor = stock_processor(size={'height': side, 'width': side * 4 // 3})
    pixels = stock_pixels(processor, image)
    with torch.no_grad():
        metres, flipped = (stock_model(heads, bins)(half).predicted_depth
                           for half in (pixels, pixels.flip(-1)))
    assert worst(estimator.estimate([image])[0], stock_depth(processor, metres, image)) <= 1e-5
    averaged = stock_depth(processor, metres, image, flipped)
    assert worst(estimator.estimate([image], flip=True)[0], averaged) <= 1e-5


@pytest.mark.parametrize('flip', [False, True])
def test_a_batch_equals_its_images_one_by_one(estimator_of: Factory, flip: bool) -> None:
    estimator = estimator_of(2, 'normed')
    sizes = [(64, 48), (48, 64), (64, 48), (128, 96), (40, 47), (64, 48)]
    images = [smooth_image(*size, seed) for seed, size in enumerate(sizes)]
    batch = estimator.estimate(images, flip=flip)
    for image, depth in zip(images, batch, strict=True):
        assert worst(depth, estimator.estimate([image], flip=flip)[0]) <= 1e-5


def test_images_of_one_network_size_run_as_one_batch(
        estimator_of: Factory, instead: Callable[..., Instead]) -> None:
    estimator = estimator_of()
    planner = instead(estimator, lambda planner, pixels: planner(pixels))
    estimator.estimate([smooth_image(*size) for size in ((64, 48), (48, 64), (128, 96))])
    assert sorted(planner.batches) == [1, 2]


def test_a_flip_is_one_batch(estimator_of: Factory, instead: Callable[..., Instead]) -> None:
    estimator = estimator_of()
    planner = instead(estimator, lambda planner, pixels: planner(pixels))
    estimator.estimate([smooth_image(64, 48)], flip=True)
    assert planner.batches == [2]


def test_no_image_gives_no_depth(estimator_of: Factory) -> None:
    assert estimator_of().estimate([]) == []


@pytest.mark.parametrize('view', [
    lambda image: image[:, :, ::-1], lambda image: image[:, ::-1], lambda image: image[::2, 1::2],
    np.asfortranarray], ids=['channels reversed', 'mirrored', 'strided', 'fortran'])
def test_any_layout_in_memory_is_taken(
        estimator_of: Factory, view: Callable[[Any], Any]) -> None:
    image = view(smooth_image(100, 80))
    expected = estimator_of().estimate([np.ascontiguousarray(image)])[0]
    assert np.array_equal(estimator_of().estimate([image])[0], expected)


@pytest.mark.filterwarnings('error')
def test_a_read_only_image_is_taken_and_left_as_it_is(estimator_of: Factory) -> None:
    image = smooth_image(64, 48)
    before = image.copy()
    image.flags.writeable = False
    estimator_of().estimate([image])
    assert np.array_equal(image, before)


@pytest.mark.parametrize('image', [
    np.zeros((48, 64), np.uint8), np.zeros((48, 64, 4), np.uint8),
    np.zeros((1, 48, 64, 3), np.uint8), np.zeros((48, 64, 3), np.float32),
    np.zeros((48, 64, 3), np.uint16)], ids=lambda image: f'{image.dtype}{image.shape}')
def test_another_shape_or_dtype_is_refused(estimator_of: Factory, image: Any) -> None:
    with pytest.raises(ImageError) as error:
        estimator_of().estimate([smooth_image(64, 48), image])
    assert str(image.dtype) in str(error.value)
    assert 'x'.join(map(str, image.shape)) in str(error.value)


@pytest.mark.parametrize(('width', 'height', 'fault'), [
    (100, 3, 'too small'), (2, 2, 'too small'), (0, 5, 'empty'), (9000, 20, 'too elongated')])
def test_a_size_that_the_network_cannot_take_is_refused(
        estimator_of: Factory, width: int, height: int, fault: str) -> None:
    with pytest.raises(ImageError, match=f'{width}x{height} pixels is {fault}'):
        estimator_of().estimate([np.zeros((height, width, 3), np.uint8)])


def test_depth_that_is_not_finite_is_nan_there_and_nowhere_else(
        estimator_of: Factory, instead: Callable[..., Instead]) -> None:
    estimator, image = estimator_of(), smooth_image(128, 96)
    sound = estimator.estimate([image])[0]

    def spoil(planner: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        metres = planner(pixels).clone()
        metres[0, 40, 60], metres[0, 60, 30] = torch.inf, torch.nan
        return metres

    instead(estimator, spoil)
    depth = estimator.estimate([image])[0]
    lost = np.isnan(depth)
    np.testing.assert_allclose(depth[~lost], sound[~lost], rtol=0.02)
    assert (depth[~lost] == sound[~lost]).mean() > 0.98
    assert 2 <= lost.sum() <= 2 * 2 * 2
    assert not np.isinf(depth).any()


@pytest.mark.parametrize('text', [
    'CUDA out of memory. Tried to allocate 2.00 GiB.',
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp":838',
    'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'])
def test_a_batch_too_large_for_the_memory_is_halved_for_good(
        own: Factory, text: str, instead: Callable[..., Instead],
        caplog: pytest.LogCaptureFixture) -> None:
    estimator = own()
    images = [smooth_image(64, 48, seed) for seed in range(5)]
    expected = [estimator.estimate([image])[0] for image in images]

    def tight(planner: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        if len(pixels) > 1:
            raise RuntimeError(text)
        return planner(pixels)

    planner = instead(estimator, tight)
    depths = estimator.estimate(images)
    assert planner.batches == [5, 2, 1, 1, 1, 1, 1]
    assert all(map(np.array_equal, depths, expected))
    assert 'batch of 5' in warnings_of(caplog)[0]
    assert all(map(np.array_equal, estimator.estimate(images), expected))
    assert planner.batches[7:] == [1] * 5 and len(warnings_of(caplog)) == 2


def test_one_image_too_large_for_the_memory_is_an_error(
        own: Factory, instead: Callable[..., Instead]) -> None:
    def full(planner: Any, pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError('injected')

    estimator = own()
    instead(estimator, full)
    with pytest.raises(DeviceError, match=r'out of memory on cpu .* 128x96: injected'):
        estimator.estimate([smooth_image(64, 48), smooth_image(64, 48)])


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_a_low_precision_stays_near_fp32(
        estimator_of: Factory, own: Factory, precision: str) -> None:
    low, images = own(precision=precision), [smooth_image(64, 48), smooth_image(128, 96)]
    assert low.precision == precision
    assert low.loaded.precision_error is not None and 0 < low.loaded.precision_error < 0.01
    for depth, reference in zip(
            low.estimate(images), estimator_of().estimate(images), strict=True):
        assert depth.dtype == np.float32 and 0 < deviation([depth], [reference]).mean < 0.01
    assert f'{precision} ({low.loaded.precision_error:.2%} from fp32)' in low.describe()


def test_the_metric_head_stays_in_fp32(own: Factory) -> None:
    model = own(precision='bf16').loaded.planner.model
    head, backbone = model.get_submodule('metric_head'), model.get_submodule('backbone')
    assert {weight.dtype for name, weight in head.state_dict().items()
            if weight.is_floating_point() and not name.startswith('router.')} == {torch.float32}
    assert {weight.dtype for weight in backbone.parameters()} == {torch.bfloat16}


def test_a_lowered_model_leaves_no_weights_in_float32_behind(
        own: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[weakref.ref] = []
    lower = precision.lowered

    def watched(model: Any, *args: Any) -> Any:
        weights.extend(weakref.ref(weight) for weight in model.backbone.parameters())
        return lower(model, *args)

    monkeypatch.setattr(precision, 'lowered', watched)
    gc.disable()  # which comes rarely where few objects are made
    try:
        own(precision='bf16')
        left = [weight for weight in weights if weight() is not None]
    finally:
        gc.enable()
    assert weights and not left


@pytest.mark.parametrize('error', [
    Deviation(0.02, 0.02), Deviation(0.005, 0.04), Deviation(float('inf'), float('inf'))])
def test_a_precision_too_far_from_fp32_is_not_used_and_no_file_is_read_again(
        estimator_of: Factory, own: Factory, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture, error: Deviation) -> None:
    loads = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        loads.append(args)
        return load_family(*args, **kwargs)

    monkeypatch.setattr(loaded, 'load_family', counted)
    monkeypatch.setattr(precision, 'deviation', lambda depths, references: error)
    estimator = own(precision='bf16')
    assert (estimator.precision, estimator.loaded.precision_error) == ('fp32', None)
    assert len(loads) == 1
    warning, = warnings_of(caplog)
    assert 'bf16' in warning and 'not used' in warning and str(error) in warning
    image = smooth_image(64, 48)
    assert np.array_equal(estimator.estimate([image])[0], estimator_of().estimate([image])[0])


@pytest.mark.parametrize('failure', [
    torch.OutOfMemoryError('CUDA out of memory'), DeviceError('cuda:0 has too little'),
    RuntimeError('cuDNN error: CUDNN_STATUS_NOT_SUPPORTED')])
def test_a_precision_that_auto_cannot_try_is_not_used(
        own: Factory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        failure: Exception) -> None:
    kept = []

    def full(model: Any, *others: Any) -> None:
        kept.append([code for code in position_encodings(model) if code is not None])
        raise failure

    monkeypatch.setattr(precision, 'candidates', lambda wanted, device: ['bf16'])
    monkeypatch.setattr(precision, 'lowered', full)
    estimator = own(precision='auto')
    assert estimator.precision == 'fp32' and kept == [[]], 'it needs the room of the encodings'
    warning, = warnings_of(caplog)
    assert 'bf16' in warning and 'not used' in warning and str(failure) in warning
    assert np.isfinite(estimator.estimate([smooth_image(64, 48)])[0]).all()
    with pytest.raises(DeviceError) as caught:
        own(precision='bf16')
    assert 'fp16' not in str(caught.value)


def test_a_device_that_is_lost_while_auto_tries_is_no_precision(
        own: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*args: Any) -> None:
        raise RuntimeError('CUDA error: device-side assert triggered')

    monkeypatch.setattr(precision, 'candidates', lambda wanted, device: ['bf16'])
    monkeypatch.setattr(precision, 'lowered', lost)
    monkeypatch.setattr(device_errors, 'is_alive', lambda device: False)
    with pytest.raises(DeviceLostError):
        own(precision='auto')


def test_auto_takes_fp32_on_the_cpu(own: Factory) -> None:
    assert own(precision='auto').precision == 'fp32'


def test_an_unknown_precision_is_refused(own: Factory) -> None:
    with pytest.raises(DeviceError, match="'int8' is not one of auto, fp32, bf16, fp16"):
        own(precision='int8')


def test_a_whole_bad_frame_at_low_precision_falls_back_to_fp32_once(
        estimator_of: Factory, own: Factory, instead: Callable[..., Instead],
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    estimator, image = own(precision='bf16'), smooth_image(64, 48)
    instead(estimator, lambda planner, pixels: planner(pixels) * torch.nan)
    asked = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        asked.append(estimator.backend)  # as diagnostics may at any time
        return load_family(*args, **kwargs)

    monkeypatch.setattr(loaded, 'load_family', watched)
    caplog.clear()
    for _ in range(2):
        depth = estimator.estimate([image])[0]
        assert np.array_equal(depth, estimator_of().estimate([image])[0])
    assert estimator.precision == 'fp32' and asked
    warning, = warnings_of(caplog)
    assert 'bf16' in warning and 'falling back to fp32' in warning


def test_a_bad_frame_at_fp32_is_nan_and_the_next_is_served(
        estimator_of: Factory, instead: Callable[..., Instead],
        caplog: pytest.LogCaptureFixture) -> None:
    estimator, image = estimator_of(), smooth_image(64, 48)
    factors = iter([torch.nan, 1.0])
    instead(estimator, lambda planner, pixels: planner(pixels) * next(factors))
    estimator._lost_warned = -module.LOST_PERIOD
    assert np.isnan(estimator.estimate([image])[0]).all()
    assert np.isfinite(estimator.estimate([image])[0]).all()
    warning, = warnings_of(caplog)
    assert 'no finite depth for 100 % of an image' in warning


@pytest.mark.parametrize(('rows', 'warned'), [(0, 0), (1, 1)])
def test_a_share_of_lost_pixels_is_named_once_a_minute(
        own: Factory, instead: Callable[..., Instead], caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch, rows: int, warned: int) -> None:
    estimator, image = own(), smooth_image(64, 48)
    minutes: list[int] = []
    monkeypatch.setattr(time, 'monotonic', lambda: 60.0 * len(minutes))

    def spoil(planner: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
        metres = planner(pixels).clone()
        metres[:, :rows], metres[0, 0, 0] = torch.nan, torch.nan
        return metres

    instead(estimator, spoil)
    for _ in range(3):
        estimator.estimate([image])
    assert len(warnings_of(caplog)) == warned
    minutes.append(1)
    estimator.estimate([image])
    assert len(warnings_of(caplog)) == 2 * warned


def test_a_fall_back_that_cannot_be_loaded_leaves_the_estimator_serving(
        own: Factory, instead: Callable[..., Instead], monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    estimator, image = own(precision='bf16'), smooth_image(64, 48)
    factors = iter([torch.nan, 1.0])
    instead(estimator, lambda planner, pixels: planner(pixels) * next(factors))

    def vanished(*args: Any, **kwargs: Any) -> Any:
        raise CheckpointError('the folder is gone')

    monkeypatch.setattr(loaded, 'load_family', vanished)
    assert np.isnan(estimator.estimate([image])[0]).all()
    assert np.isfinite(estimator.estimate([image])[0]).all()
    assert estimator.precision == 'bf16'
    error, = [record.getMessage() for record in caplog.records
              if record.levelno == logging.ERROR]
    assert 'stays in bf16' in error and 'the folder is gone' in error


@pytest.mark.parametrize('step', ['_placed', '_accelerate'])
def test_a_fall_back_without_room_leaves_the_estimator_serving(
        own: Factory, instead: Callable[..., Instead], monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture, step: str) -> None:
    estimator, image = own(precision='bf16'), smooth_image(64, 48)
    factors, served = iter([torch.nan, 1.0]), estimator.loaded.planner
    instead(estimator, lambda planner, pixels: planner(pixels) * next(factors))

    def full(*_: Any) -> Any:
        raise DeviceError('no room')

    closed: list[Planner] = []
    monkeypatch.setattr(loaded.LoadedModel, step, full)
    monkeypatch.setattr(Planner, 'close', lambda planner: closed.append(planner))
    assert np.isnan(estimator.estimate([image])[0]).all()
    assert np.isfinite(estimator.estimate([image])[0]).all()
    assert estimator.precision == 'bf16' and served not in closed
    assert len(closed) == (step == '_accelerate')
    assert 'stays in bf16' in caplog.text and 'no room' in caplog.text


def test_submitted_images_come_back_in_their_order(estimator_of: Factory) -> None:
    estimator = estimator_of()
    images = [smooth_image(*size) for size in ((64, 48), (48, 64), (128, 96))]
    found = estimator.submit(images)()
    assert not estimator.overlaps and not any(each.confidence is not None for each in found)
    assert all(np.array_equal(each.depth, depth)
               for each, depth in zip(found, estimator.estimate(images), strict=True))


def test_damaged_weights_are_named_at_start(
        checkpoint_of: Callable[..., Path], tmp_path: Path) -> None:
    for file in checkpoint_of().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights, = tmp_path.glob('*.safetensors')
    damaged = {name: weight * torch.nan if weight.is_floating_point() else weight
               for name, weight in load_file(weights).items()}
    save_file(damaged, weights, {'format': 'pt'})
    with pytest.raises(CheckpointError, match='weights are damaged'):
        DepthEstimator(EstimatorOptions(str(tmp_path), device='cpu'))


def test_auto_without_cuda_warns_once(
        own: Factory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    estimator = own(device='auto')
    estimator.estimate([smooth_image(64, 48)])
    assert estimator.device == torch.device('cpu')
    warning, = warnings_of(caplog)
    assert 'no CUDA device' in warning


def test_cpu_is_taken_without_a_warning(own: Factory, caplog: pytest.LogCaptureFixture) -> None:
    own(device='cpu')
    assert not warnings_of(caplog)


def test_the_description_names_what_runs_where(estimator_of: Factory) -> None:
    text = estimator_of().describe()
    model = estimator_of().loaded
    for fact in (model.name, f'{model.parameters / 1e6:.1f} M parameters', 'cpu', 'fp32',
                 'network 128x96 for images of 640x480'):
        assert fact in text


@pytest.mark.parametrize(('wanted', 'said'), [
    ({'height': 64}, 'network 96x64 for'), ({'width': 64}, 'network 64x64 for'),
    ({'height': 192, 'width': 640},
     'network 640x480 (not 640x192: the image keeps its proportion)'),
])
def test_the_description_tells_the_network_size_that_runs(
        own: Factory, wanted: dict[str, int], said: str) -> None:
    estimator = own(**wanted)
    assert said in estimator.describe()


@pytest.mark.slow
def test_openvino_gives_the_same_depth_once_it_is_built(
        estimator_of: Factory, own: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    monkeypatch.setattr(loaded, 'Planner', partial(Planner, measure=always(2.0)))
    estimator, images = own(backend='openvino'), [smooth_image(128, 96)]
    before = estimator.estimate(images)
    assert estimator.settle(60.0)
    for depth, early, expected in zip(
            estimator.estimate(images), before, estimator_of().estimate(images), strict=True):
        assert worst(early, expected) <= 1e-5
        assert worst(depth, expected) <= 1e-3
    assert estimator.backend == 'openvino'
    estimator.close()


def test_a_backend_that_cannot_serve_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(DeviceError, match="backend 'openvino' runs in fp32 or bf16, not in fp16"):
        DepthEstimator(EstimatorOptions(
            'not/looked for', device='cpu', backend='openvino', precision='fp16'))


def test_the_network_size_may_be_set(own: Factory) -> None:
    image = smooth_image(128, 96)
    assert own().network_size(image) == (96, 128)
    assert own(height=64, width=96).network_size(image) == (64, 96)
    assert own(height=64, width=96).estimate([image])[0].shape == (96, 128)


def test_the_range_is_that_of_the_heads(estimator_of: Factory) -> None:
    assert estimator_of(2).range == (0.001, 80.0)
    assert estimator_of(1).range == (0.001, 10.0)


@pytest.mark.parametrize(('alive', 'error'), [(True, DeviceError), (False, DeviceLostError)])
def test_an_error_of_the_device_while_it_warms_is_one_line(
        own: Factory, monkeypatch: pytest.MonkeyPatch, alive: bool,
        error: type[DeviceError]) -> None:
    def fail(planner: Planner, pixels: Tensor) -> Tensor:
        raise RuntimeError('CUDA error: unspecified launch failure\nand more')

    monkeypatch.setattr(Planner, '__call__', fail)
    monkeypatch.setattr(device_errors, 'is_alive', lambda device: alive)
    with pytest.raises(DeviceError, match=r'unspecified launch failure \(restart') as caught:
        own()
    assert type(caught.value) is error and '\n' not in str(caught.value)


def test_the_first_image_of_a_prepared_size_finds_all_ready(own: Factory) -> None:
    estimator, image = own(), smooth_image(200, 48)
    estimator.prepare(48, 200)
    for broken in ((1, 2**31), (0, 0), (0, 64)):  # as a message may say
        estimator.prepare(*broken)
    assert estimator.settle(60.0)
    before = estimator.loaded.planner.built
    depth = estimator.estimate([image])[0]
    assert estimator.loaded.planner.built == before == 2
    assert np.array_equal(depth, own().estimate([image])[0])
