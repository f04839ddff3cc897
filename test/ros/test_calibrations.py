# SPDX-License-Identifier: Apache-2.0
"""Calibrations on their way: files that fit are applied, others refused; the floor takes over."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from depth_estimation_ros.calibration_file import CalibrationFile, CameraKey
from depth_estimation_ros.core.correction import INVERSE, RELATIVE, SCALE, Correction
from depth_estimation_ros.core.families.base import Quantity
from depth_estimation_ros.core.live_floor import ENOUGH, WATCHED
from depth_estimation_ros.core.maps import Maps
from depth_estimation_ros.core.pinhole import Pinhole
from depth_estimation_ros.ros import calibrations, codec
from depth_estimation_ros.ros import frame_statistics as reasons
from depth_estimation_ros.ros.calibration_loading import DepthSource, load_calibrations
from depth_estimation_ros.ros.calibrations import CalibrationSettings, CameraCalibration
from depth_estimation_ros.ros.diagnostics import CameraWatch
from depth_estimation_ros.ros.mailbox import Frame
from depth_estimation_ros.ros.monitor import CameraMonitor
from depth_estimation_ros.ros.pipeline import Pipeline
from depth_estimation_ros.ros.settings import Settings

from ..core.test_floor import LENS, SHAPE, floor_map
from .conftest import RunningNode, camera_info, image, metres
from .test_live_parameters import put
from .test_worker import Camera, Network

HEIGHT, WIDTH = SHAPE
FLOOR: MappingProxyType[str, Any] = MappingProxyType({'mode': 'floor', 'camera_height': (1.2,)})


class SeeingCamera(Camera):
    """A camera that knows its lens."""

    focal: float | None = LENS.fx

    def focal_length(self, header: Any, width: int, height: int) -> float | None:
        return self.focal

    def lens(self, header: Any, width: int, height: int) -> Pinhole:
        return LENS


class FloorNetwork(Network):
    """An estimator that gives one map, whatever it sees."""

    def __init__(self, values: np.ndarray, quantity: Quantity) -> None:
        super().__init__()
        self.values, self.quantity = values.astype(np.float32), quantity

    def _estimate(self, marks: list[int], flip: bool) -> list[Maps]:
        return [Maps(torch.from_numpy(self.values.copy())) for _ in marks]


class Bench:
    """A pipeline whose network always sees the same, and one camera."""

    def __init__(self, values: np.ndarray, quantity: Quantity = Quantity.METRES,
                 **settings: Any) -> None:
        self.network, self.camera = FloorNetwork(values, quantity), SeeingCamera()
        self.made = load_calibrations(CalibrationSettings(**settings), [''],
                                      DepthSource('demo', quantity, '', same_size))
        self.warnings: list[str] = []
        self.pipeline = Pipeline(
            self.network, codec.decode, settings=Settings(), now=lambda: 1000.0,
            warn=lambda kind, sentence: self.warnings.append(sentence), calibrations=self.made)

    def serve(self, count: int = 1) -> None:
        for _ in range(count):
            self.pipeline.serve([self.frame()], list)

    def frame(self) -> Frame:
        message = Image(height=HEIGHT, width=WIDTH, step=3 * WIDTH, encoding='rgb8',
                        data=bytes(3 * HEIGHT * WIDTH))
        self.camera.statistics.receive()
        return Frame(self.camera, message, 1000.0, monotonic())

    @property
    def depth(self) -> np.ndarray:
        """The last that was published."""
        return self.camera.published[-1][1]

    @property
    def calibration(self) -> CameraCalibration:
        return self.made['']


TWICE = Correction(SCALE, 2.0)
KEY = CameraKey(WIDTH, HEIGHT, LENS.fx)


def same_size(height: int, width: int) -> float:
    """The magnification of a network that sees images as they are."""
    return 1.0


def written(folder: Path, correction: Correction = TWICE, model: str = 'demo',
            camera: CameraKey = KEY, domain: str = '', network: str = '') -> str:
    path = folder / 'calibration.yaml'
    CalibrationFile(model, camera, correction, 0.01, '2030-01-01', {}, domain,
                    network).write(path)
    return str(path)


@pytest.fixture
def _every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrations, 'PERIOD', 0.0)


def test_off_is_nothing_at_all() -> None:
    assert not load_calibrations(CalibrationSettings(), ['', 'b'],
                                 DepthSource('demo', Quantity.METRES))


def test_a_file_is_applied(tmp_path: Path) -> None:
    bench = Bench(np.full(SHAPE, 3.0), file=(written(tmp_path),))
    bench.serve()
    assert (bench.depth == 6.0).all()
    assert bench.calibration.facts == {'calibration': 'scale 2, from a file'}


def test_a_file_knows_the_size_at_which_the_network_saw(tmp_path: Path) -> None:
    bench = Bench(np.full(SHAPE, 3.0), file=(written(tmp_path, network='128x96'),))
    bench.serve()
    assert (bench.depth == 6.0).all()
    bench.network.seen = 192, 256
    bench.serve()
    assert bench.camera.statistics.summary().dropped == {reasons.UNCALIBRATED: 1}
    assert 'sees 128x96, not 256x192' in bench.warnings[-1]
    assert 'network.height' in bench.warnings[-1]


@pytest.mark.parametrize('change', [{'seen': (192, 256)}, {'domain': 'kitti'}], ids=str)
@pytest.mark.usefixtures('_every_frame')
def test_the_floors_scale_is_collected_anew_where_the_network_sees_otherwise(
        change: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(floor_map() / 1.3, **FLOOR)
    bench.serve(ENOUGH)
    assert 'frozen: scale 1.3' in bench.calibration.state
    bench.serve(2)
    assert 'frozen' in bench.calibration.state
    for name, value in change.items():
        setattr(bench.network, name, value)
    bench.serve()
    assert 'collecting: 1 of' in bench.calibration.state
    assert 'is collected anew' in caplog.text
    bench.serve(ENOUGH)
    assert 'frozen: scale 1.3' in bench.calibration.state


def test_a_calibration_for_two_heads_is_warned_of(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for domain in ('', 'kitti', 'auto'):
        load_calibrations(CalibrationSettings((written(tmp_path, domain=domain),)), [''],
                          DepthSource('demo', Quantity.METRES, domain))
    warning, = caplog.records
    assert "set 'domain'" in warning.getMessage()


@pytest.mark.parametrize(('key', 'said'), [
    (CameraKey(640, 480, LENS.fx), 'images of 640x480'),
    (CameraKey(WIDTH, HEIGHT, 1.1 * LENS.fx), 'focal length of 143.0'),
])
def test_the_file_of_another_camera_is_refused(tmp_path: Path, key: CameraKey, said: str) -> None:
    bench = Bench(np.full(SHAPE, 3.0), file=(written(tmp_path, camera=key),))
    bench.serve()
    assert not bench.camera.published and said in bench.warnings[0]
    assert bench.camera.statistics.summary().dropped == {reasons.UNCALIBRATED: 1}


def test_an_unknown_focal_length_is_not_another(tmp_path: Path) -> None:
    bench = Bench(np.full(SHAPE, 3.0), file=(written(tmp_path),))
    bench.camera.focal = None
    bench.serve()
    assert (bench.depth == 6.0).all()


def test_a_relative_model_becomes_metric_by_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, Correction(INVERSE, 7.0, -3.0))
    bench = Bench(np.full(SHAPE, 0.5), Quantity.INVERSE_DEPTH, file=(file,))
    bench.serve()
    assert (bench.depth == 2.0).all()


@pytest.mark.parametrize(('quantity', 'correction', 'model', 'said'), [
    (Quantity.METRES, Correction(SCALE, 2.0), 'other', "of model 'other', not 'demo'"),
    (Quantity.INVERSE_DEPTH, Correction(SCALE, 2.0), 'demo', "of kind 'scale'"),
    (Quantity.METRES, Correction(INVERSE, 2.0), 'demo', "of kind 'inverse'"),
    (Quantity.RELATIVE_DEPTH, Correction(SCALE, 2.0), 'demo', "of kind 'scale'"),
])
def test_a_file_of_another_model_is_refused_at_once(
        tmp_path: Path, quantity: Quantity, correction: Correction, model: str, said: str) -> None:
    file = written(tmp_path, correction, model)
    with pytest.raises(ValueError, match=said):
        load_calibrations(CalibrationSettings((file,)), [''], DepthSource('demo', quantity))


def test_settings_without_an_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='camera_height'):
        CalibrationSettings(mode='floor')
    with pytest.raises(ValueError, match='pitch_tolerance'):
        load_calibrations(CalibrationSettings(**FLOOR), [''],
                          DepthSource('demo', Quantity.INVERSE_DEPTH))
    with pytest.raises(ValueError, match='one for each of the 3'):
        load_calibrations(CalibrationSettings(('', written(tmp_path))), ['a', 'b', 'c'],
                          DepthSource('demo', Quantity.METRES))


def test_relative_depth_becomes_metric_by_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, Correction(RELATIVE, 0.004, 0.5))
    bench = Bench(np.full(SHAPE, 500.0), Quantity.RELATIVE_DEPTH, file=(file,))
    bench.serve()
    assert (bench.depth == 2.5).all()
    assert bench.calibration.state == 'scale 0.004, shift 0.5, from a file'


@pytest.mark.parametrize(('own', 'configured', 'refused'), [
    ('nyu', 'nyu', False), ('nyu', 'kitti', True), ('nyu', 'auto', True), ('', 'kitti', False),
    ('nyu', '', False)])
def test_a_file_of_another_metric_head_is_refused(tmp_path: Path, own: str, configured: str,
                                                  refused: bool) -> None:
    settings = CalibrationSettings((written(tmp_path, domain=own),))
    def expected() -> Any:
        return pytest.raises(ValueError, match="domain 'nyu', not") if refused else nullcontext()

    with expected():
        load_calibrations(settings, [''], DepthSource('demo', Quantity.METRES, configured))
    made = load_calibrations(settings, [''], DepthSource('demo', Quantity.METRES))['']
    with expected():
        made.check_domain(configured)


LENS_OF: dict[str, Any] = {'reference_focal': (2 * LENS.fx, float(WIDTH), float(HEIGHT))}
"""A model trained with a lens twice as long."""


def test_metres_are_brought_to_the_focal_length() -> None:
    bench = Bench(np.full(SHAPE, 3.0), **LENS_OF)
    bench.serve()
    np.testing.assert_allclose(bench.depth, 1.5)
    assert bench.calibration.facts == {'calibration': 'times 0.5 for the focal length'}
    bench.camera.focal = None
    bench.serve()
    assert len(bench.camera.published) == 1
    assert 'needs a calibrated camera_info' in bench.warnings[0]


def test_the_focal_length_counts_as_the_model_that_serves_sees_it() -> None:
    """Another takes over while an image is in the network."""
    bench = Bench(np.full(SHAPE, 3.0), **LENS_OF)
    factor, = (each.lens_factor(HEIGHT, WIDTH, LENS.fx) for each in bench.made.values())
    batch = bench.pipeline.begin([bench.frame()])
    object.__setattr__(bench.calibration._focal, 'magnification', lambda height, width: None)
    for estimated in bench.pipeline.finish(batch):
        bench.pipeline.publish(estimated)
    assert factor == 0.5
    np.testing.assert_allclose(bench.depth, 1.5)
    bench.serve()
    assert len(bench.camera.published) == 1 and 'count it twice' in bench.warnings[0]
    assert bench.camera.statistics.summary().dropped == {reasons.UNCALIBRATED: 1}


@pytest.mark.parametrize(('settings', 'source', 'said'), [
    ({'mode': 'floor', 'camera_height': (1.2,)}, None, 'leave it out'),
    ({'file': ('a.yaml',)}, None, 'leave it out'),
    ({'reference_focal': (500.0,)}, None, 'fx, width and height'),
    ({'reference_focal': (500.0, 640.0, -1.0)}, None, 'fx, width and height'),
    ({}, DepthSource('demo', Quantity.INVERSE_DEPTH, '', same_size), 'makes no metres'),
    ({}, DepthSource('demo', Quantity.METRES), 'count it twice'),
])
def test_a_focal_length_that_makes_no_sense_is_refused(
        settings: dict[str, Any], source: DepthSource | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_calibrations(CalibrationSettings(**{**LENS_OF, **settings}), [''],
                          source or DepthSource('demo', Quantity.METRES, '', same_size))


def test_a_camera_without_a_file_stays_without_metres(tmp_path: Path) -> None:
    file = written(tmp_path, Correction(INVERSE, 2.0))
    made = load_calibrations(CalibrationSettings((file, '')), ['a', 'b'],
                             DepthSource('demo', Quantity.INVERSE_DEPTH))
    assert list(made) == ['a']


@pytest.mark.usefixtures('_every_frame')
def test_the_floor_takes_over_once_it_has_told() -> None:
    bench = Bench(2 * floor_map(), **FLOOR)
    bench.serve(ENOUGH)
    np.testing.assert_allclose(bench.depth, 2 * floor_map(), rtol=1e-6)
    assert float(bench.calibration.facts.get('calibration_scale', '0.5')) == 0.5
    bench.serve()
    np.testing.assert_allclose(bench.depth, floor_map(), rtol=1e-3)
    assert 'frozen: scale 0.5' in bench.calibration.state


@pytest.mark.usefixtures('_every_frame')
def test_a_relative_model_is_silent_until_the_floor_has_told() -> None:
    bench = Bench(7 / floor_map() - 3, Quantity.INVERSE_DEPTH, pitch=(-0.2094,),
                  pitch_tolerance=0.01, **FLOOR)
    bench.serve(ENOUGH)
    assert not bench.camera.published and 'collecting' in bench.warnings[0]
    bench.serve()
    np.testing.assert_allclose(bench.depth, floor_map(), rtol=0.01)


@pytest.mark.usefixtures('_every_frame')
def test_relative_depth_becomes_metric_by_the_floor() -> None:
    bench = Bench(300 * floor_map(), Quantity.RELATIVE_DEPTH, **FLOOR)
    bench.serve(ENOUGH + 1)
    np.testing.assert_allclose(bench.depth, floor_map(), rtol=0.01)


@pytest.mark.usefixtures('_every_frame')
def test_with_a_file_the_floor_only_warns(tmp_path: Path) -> None:
    file = written(tmp_path, Correction(SCALE, 1.0))
    bench = Bench(1.12 * floor_map(), file=(file,), **FLOOR)
    bench.serve(WATCHED)
    np.testing.assert_allclose(bench.depth, 1.12 * floor_map(), rtol=1e-6)
    watch = CameraWatch('camera', 'image', lambda sentence: None)
    monitor = CameraMonitor('')
    status = watch.status(bench.camera.statistics.summary(), 1.0, 1.0, [], bench.calibration,
                          monitor=monitor)
    assert 'floor disagrees: the floor says 12% too far since' in status.message
    assert status.level == b'\x01'
    facts = {value.key: value.value for value in status.values}
    assert 'calibration' in facts and facts['floor_disagreement'] == '+0.120'
    assert facts['monitor'] == 'unknown, floor disagrees'
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    monitor.observe(picture, np.ones((48, 64), np.float32), 1.0)
    status = watch.status(bench.camera.statistics.summary(), 2.0, 1.0, [], bench.calibration,
                          monitor=monitor)
    facts = {value.key: value.value for value in status.values}
    assert facts['monitor'] == 'floor disagrees'
    assert status.message.count('floor disagrees') == 1


def test_between_looks_the_floor_costs_nothing() -> None:
    bench = Bench(floor_map(), **FLOOR)
    bench.serve(3)
    assert bench.calibration.floor is not None and len(bench.calibration.floor.looks) == 1


def served(peer: Any, node: RunningNode) -> np.ndarray:
    """Send an image and its camera_info until metres come; either may be lost."""
    node.wait_for('configured')
    depths, sent = peer.listen('depth/image_rect', Image), image(96, 128)

    def is_back() -> bool:
        peer.send('camera_info', camera_info(96, 128))
        peer.send('image', sent)
        peer.spin_for(0.2)
        return any(depth.header == sent.header for depth in depths)

    peer.until(is_back)
    return metres(next(depth for depth in depths if depth.header == sent.header))


@pytest.mark.slow
def test_the_node_applies_a_focal_length_or_a_file(start: Any, peer: Any, tmp_path: Path) -> None:
    node: RunningNode = start(model='demo')
    plain = served(peer, node)
    node.leave()
    node = start(model='demo', far=100.0, calibration__reference_focal=[64.0, 128.0, 96.0])
    np.testing.assert_allclose(served(peer, node), 2 * plain, rtol=1e-3)
    node.leave()
    file = written(tmp_path, camera=CameraKey(128, 96, 128.0), domain='auto')
    node = start(model='demo', far=100.0, calibration__file=file)
    np.testing.assert_allclose(served(peer, node), 2 * plain, rtol=1e-3)
    assert "domain 'auto', not 'nyu'" in put(peer, domain='nyu')
    status = peer.diagnostics()['camera']
    assert {value.key: value.value for value in status.values}['calibration'].startswith('scale 2')


def test_the_node_refuses_a_file_of_another_model(start: Any, tmp_path: Path) -> None:
    node: RunningNode = start(model='demo', calibration__file=written(tmp_path, model='other'))
    assert node.process.wait(timeout=60) == 1
    assert "the calibration is of model 'other', not 'demo'" in node.text()
    assert 'Traceback' not in node.text()
