# SPDX-License-Identifier: Apache-2.0
"""The parameters: described, bounded, and refused with a reason where they make no sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name

from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.ros import parameters
from depth_estimation_ros.ros.outputs import Limits
from depth_estimation_ros.ros.settings import Cameras, Settings
from depth_estimation_ros.ros.settings import parameters as declared

DEFAULT = Settings()
NAMES = declared()
LIVE = {name for name, item in NAMES.items() if item.metadata['live']}


@pytest.fixture
def node() -> Iterator[Callable[..., Node]]:
    """A function from parameter overrides to a node that has declared everything."""
    made: list[Node] = []

    def make(**overrides: Any) -> Node:
        made.append(Node('settings', parameter_overrides=[
            Parameter(name.replace('__', '.'), value=value) for name, value in overrides.items()]))
        parameters.declare(made[-1])
        return made[-1]

    yield make
    for each in made:
        each.destroy_node()


def changes(**values: Any) -> list[Parameter]:
    return [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]


@pytest.mark.parametrize('name', NAMES)
def test_every_parameter_is_described(node: Callable[..., Node], name: str) -> None:
    descriptor, item = node().describe_parameter(name), NAMES[name]
    assert len(descriptor.description) > 15 and not descriptor.description.endswith('.')
    assert descriptor.read_only == (not item.metadata['live'])
    assert not descriptor.dynamic_typing
    for choice in item.metadata['choices']:
        assert choice in descriptor.additional_constraints


@pytest.mark.parametrize('name', [name for name, item in NAMES.items()
                                  if type(item.default) in (int, float)])
def test_every_number_has_a_range_that_holds_its_default(
        node: Callable[..., Node], name: str) -> None:
    descriptor = node().describe_parameter(name)
    bounds, = descriptor.floating_point_range or descriptor.integer_range
    assert bounds.from_value <= NAMES[name].default <= bounds.to_value


def test_defaults_are_read_back(node: Callable[..., Node]) -> None:
    assert parameters.read(node()) == DEFAULT


def test_overrides_are_read(node: Callable[..., Node]) -> None:
    settings = parameters.read(node(
        model='some/model', cameras=['front', 'rear'], far=20.0, preview__colormap='magma',
        max_batch=2, flip_augmentation=True))
    assert settings == DEFAULT.changed({
        'model': 'some/model', 'cameras': ('front', 'rear'), 'far': 20.0, 'max_batch': 2,
        'preview.colormap': 'magma', 'flip_augmentation': True})
    assert (settings.model.name, settings.serving.max_batch) == ('some/model', 2)


@pytest.mark.parametrize('overrides', [
    {'near': -1.0}, {'max_batch': 0}, {'max_batch': 65}, {'preview__far': 1e6},
    {'near': float('nan')}, {'far': float('inf')}], ids=str)
def test_a_start_beyond_a_range_is_refused(
        node: Callable[..., Node], overrides: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValueException, match=r'(?s).*out of range'):
        node(**overrides)


def test_off_is_a_word_here_though_yaml_reads_a_bool(node: Callable[..., Node]) -> None:
    assert parameters.read(node(calibration__mode=False)).calibration.mode == 'off'
    with pytest.raises(InvalidParameterTypeException, match='model'):
        node(model=False)


def test_a_start_with_another_type_is_refused(node: Callable[..., Node]) -> None:
    with pytest.raises(InvalidParameterTypeException, match='near'):
        node(near='close')


@pytest.mark.parametrize(('overrides', 'reason'), [
    ({'near': 5.0, 'far': 5.0}, 'far'), ({'precision': 'int8'}, 'int8'),
    ({'preview__near': 10.0}, 'preview.far'), ({'cameras': ['front', 'front']}, 'distinct'),
    ({'cameras': ['front', 'rear'], 'scan__frame': 'level'}, "scan.frame 'level'"),
    ({'image_transport': 'theora'}, 'theora'), ({'preview__colormap': 'grey'}, 'grey')], ids=str)
def test_a_start_that_makes_no_sense_is_refused(
        node: Callable[..., Node], overrides: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        node(**overrides)


@pytest.mark.parametrize('name', sorted(set(NAMES) - LIVE))
def test_what_needs_a_restart_cannot_be_set(node: Callable[..., Node], name: str) -> None:
    value = NAMES[name].default
    result, = node().set_parameters([Parameter(
        name, value=list(value) if isinstance(value, tuple) else value)])
    assert not result.successful and 'read-only' in result.reason


@pytest.mark.parametrize('values', [
    {'near': 0.5}, {'far': 0.0}, {'far': 30.0, 'near': 20.0}, {'preview__colormap': 'bone'},
    {'preview__near': 20.0, 'preview__far': 30.0}, {'max_age': 0.5}, {'flip_augmentation': True}],
    ids=str)
def test_sensible_changes_are_taken(values: dict[str, Any]) -> None:
    result = parameters.check(DEFAULT, changes(**values))
    assert result.successful and not result.reason


@pytest.mark.parametrize(('values', 'reason'), [
    ({'far': 0.05}, 'far (0.05 m) must lie beyond near (0.1 m)'),
    ({'near': 5.0, 'far': 5.0}, 'far (5.0 m) must lie beyond near (5.0 m)'),
    ({'preview__colormap': 'rainbow'}, "preview.colormap is 'rainbow', which is none of turbo"),
    ({'preview__near': 10.0}, 'preview.far (10.0 m) must lie beyond preview.near (10.0 m)'),
    ({'max_rate': [1.0, 2.0]}, 'max_rate'), ({'max_rate': [-1.0]}, 'max_rate'),
    ({'max_rate': []}, 'max_rate')], ids=str)
def test_changes_that_make_no_sense_are_refused_with_the_reason(
        values: dict[str, Any], reason: str) -> None:
    result = parameters.check(DEFAULT, changes(**values))
    assert not result.successful and reason in result.reason


def test_changes_are_judged_with_the_values_that_stay() -> None:
    settings = DEFAULT.changed({'near': 5.0, 'far': 20.0})
    assert not parameters.check(settings, changes(far=4.0)).successful
    assert parameters.check(settings, changes(far=4.0, near=1.0)).successful


def within_10_metres(settings: Settings) -> None:
    settings.range.limits(10.0)


def no_such_backend(settings: Settings) -> None:
    raise DeviceError('it is not installed')


def test_what_cannot_be_had_is_refused_with_the_reason() -> None:
    result = parameters.check(DEFAULT, changes(backend='openvino'), no_such_backend)
    assert (result.successful, result.reason) == (False, 'it is not installed')


def test_near_beyond_the_models_range_is_refused_where_a_model_is_loaded() -> None:
    assert parameters.check(DEFAULT, changes(near=50.0)).successful
    result = parameters.check(DEFAULT, changes(near=50.0), within_10_metres)
    assert not result.successful and '50.0 m' in result.reason and '10.0 m' in result.reason
    assert parameters.check(DEFAULT, changes(near=50.0, far=60.0), within_10_metres).successful


def test_parameters_of_others_are_none_of_our_business() -> None:
    assert parameters.check(DEFAULT, changes(use_sim_time=True)).successful


def test_far_is_the_models_own_where_it_is_left_open() -> None:
    assert DEFAULT.range.limits(80.0) == Limits(0.1, 80.0)
    assert DEFAULT.changed({'far': 7.0}).range.limits(80.0) == Limits(0.1, 7.0)


@pytest.mark.parametrize('name', [
    'front-left', 'front left', '1st', '/front', 'front/', 'a//b', 'ä'])
def test_a_camera_that_no_topic_can_start_with_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"cameras holds '{name}'"):
        Cameras(names=('rear', name))


@pytest.mark.parametrize('name', ['', 'front', 'front_2', '_x', 'robot1/front'])
def test_a_camera_that_a_topic_can_start_with_is_taken(name: str) -> None:
    validate_topic_name(f'{name}/image' if name else 'image')
    assert Cameras(names=(name,)).names == (name,)


def test_misspelt_overrides_are_found(node: Callable[..., Node]) -> None:
    made = node(presicion='fp32', preview__colourmap='turbo', near=0.2)
    assert parameters.unknown_overrides(made) == ['presicion', 'preview.colourmap']


def test_qos_overrides_are_no_misspelling(node: Callable[..., Node]) -> None:
    made = node(**{'qos_overrides./image.subscription.depth': 5})
    assert parameters.unknown_overrides(made) == []


def test_the_core_gets_what_it_needs() -> None:
    settings = DEFAULT.changed({
        'device': 'cpu', 'precision': 'bf16', 'revision': 'v2', 'network.height': 192,
        'network.width': 256, 'compile': True, 'local_files_only': True})
    options = settings.estimator_options('/a/folder')
    assert options.model == '/a/folder'
    assert (options.device, options.precision, options.revision) == ('cpu', 'bf16', 'v2')
    assert (options.height, options.width) == (192, 256)
    assert options.compile and options.local_files_only


@pytest.mark.parametrize('names', [('front', 'front/depth'), ('depth', ''), ('a/depth', 'b', 'a')])
def test_cameras_whose_topics_would_be_one_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match='camera_info would be one topic'):
        Cameras(names=names)
