# SPDX-License-Identifier: Apache-2.0
"""nav2.yaml and nav2_stvl.yaml against the parameters that the layers declare: name and type."""

from pathlib import Path
from typing import Any

import pytest
import yaml

# nav2_costmap_2d 1.3.13 (Jazzy) and 1.4.2 (Kilted), which declare the same:
# plugins/obstacle_layer.cpp and plugins/voxel_layer.cpp.
LAYER = {'plugin': str, 'enabled': bool, 'footprint_clearing_enabled': bool,
         'min_obstacle_height': float, 'max_obstacle_height': float, 'combination_method': int,
         'observation_sources': str}
LAYERS: dict[str, dict[str, type]] = {
    'nav2_costmap_2d::ObstacleLayer': LAYER,
    'nav2_costmap_2d::VoxelLayer': LAYER | {
        'origin_z': float, 'z_resolution': float, 'z_voxels': int, 'unknown_threshold': int,
        'mark_threshold': int, 'publish_voxel_map': bool}}
SOURCE: dict[str, type] = {
    'topic': str, 'sensor_frame': str, 'observation_persistence': float,
    'expected_update_rate': float, 'data_type': str, 'min_obstacle_height': float,
    'max_obstacle_height': float, 'inf_is_valid': bool, 'marking': bool, 'clearing': bool,
    'obstacle_max_range': float, 'obstacle_min_range': float, 'raytrace_max_range': float,
    'raytrace_min_range': float}
MOST_VOXELS = 16

# spatio_temporal_voxel_layer 2.2.0, branch ros2 at 403d9ed: src/spatio_temporal_voxel_layer.cpp.
STVL: dict[str, type] = {
    'plugin': str, 'enabled': bool, 'observation_sources': str, 'transform_tolerance': float,
    'publish_voxel_map': bool, 'voxel_size': float, 'combination_method': int,
    'mark_threshold': int, 'update_footprint_enabled': bool, 'track_unknown_space': bool,
    'decay_model': int, 'voxel_decay': float, 'mapping_mode': bool, 'map_save_duration': float}
STVL_SOURCE: dict[str, type] = {
    'topic': str, 'sensor_frame': str, 'observation_persistence': float,
    'expected_update_rate': float, 'data_type': str, 'min_obstacle_height': float,
    'max_obstacle_height': float, 'inf_is_valid': bool, 'marking': bool, 'clearing': bool,
    'obstacle_range': float, 'min_z': float, 'max_z': float, 'vertical_fov_angle': float,
    'vertical_fov_padding': float, 'horizontal_fov_angle': float, 'decay_acceleration': float,
    'filter': str, 'voxel_min_points': int, 'clear_after_reading': bool, 'enabled': bool,
    'model_type': int}
STVL_PLUGIN = 'spatio_temporal_voxel_layer/SpatioTemporalVoxelLayer'
"""The name in its costmap_plugins.xml."""

Tree = dict[str, Any]


def layers_of(path: Path) -> list[Tree]:
    costmaps = yaml.safe_load(path.read_text())
    return [layer for name, costmap in costmaps.items()
            for layer in costmap[name]['ros__parameters'].values()]


@pytest.fixture(scope='module')
def layers(root: Path) -> list[Tree]:
    return layers_of(root / 'config' / 'nav2.yaml')


@pytest.fixture(scope='module')
def stvl(root: Path) -> Tree:
    layer, = layers_of(root / 'config' / 'nav2_stvl.yaml')
    return layer


def sources_of(layer: Tree) -> dict[str, Tree]:
    return {name: layer[name] for name in layer['observation_sources'].split()}


def every_source(layers: list[Tree]) -> dict[str, Tree]:
    return {name: source for layer in layers for name, source in sources_of(layer).items()}


def wrong(given: Tree, declared: dict[str, type]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if type(value) is not declared.get(name)}


def test_nav2_declares_every_parameter_with_that_type(layers: list[Tree]) -> None:
    for layer in layers:
        sources = sources_of(layer)
        own = {name: value for name, value in layer.items() if name not in sources}
        assert not wrong(own, LAYERS[layer['plugin']])
        for source in sources.values():
            assert not wrong(source, SOURCE)


def test_the_topics_are_ours_and_their_types_fit(layers: list[Tree]) -> None:
    assert {(source['topic'], source['data_type']) for source in every_source(layers).values()} \
        == {('/depth/points', 'PointCloud2'), ('/depth/scan', 'LaserScan')}


def test_a_cloud_marks_within_a_band_and_clears_without(layers: list[Tree]) -> None:
    sources = every_source(layers)
    marks, clears = sources['depth_marking'], sources['depth_clearing']
    assert (marks['marking'], marks['clearing']) == (True, False)
    assert (clears['marking'], clears['clearing']) == (False, True)
    assert 0 < marks['min_obstacle_height'] < marks['max_obstacle_height'] < 3
    assert clears['min_obstacle_height'] < -10 and clears['max_obstacle_height'] > 10
    assert clears['raytrace_max_range'] > marks['obstacle_max_range']


def test_a_scan_clears_where_nothing_stands(layers: list[Tree]) -> None:
    scan = every_source(layers)['depth_scan']
    assert scan['inf_is_valid'] and scan['marking'] and scan['clearing']
    assert scan['raytrace_max_range'] > scan['obstacle_max_range']
    assert scan['max_obstacle_height'] > 1.5  # a camera's height, or the scan is dropped whole


def test_the_voxels_reach_the_band(layers: list[Tree]) -> None:
    voxel = next(layer for layer in layers if layer['plugin'].endswith('VoxelLayer'))
    assert voxel['z_voxels'] <= MOST_VOXELS
    assert voxel['origin_z'] + voxel['z_voxels'] * voxel['z_resolution'] >= \
        voxel['depth_marking']['max_obstacle_height']


def test_stvl_declares_every_parameter_with_that_type(stvl: Tree) -> None:
    sources = sources_of(stvl)
    assert stvl['plugin'] == STVL_PLUGIN
    assert not wrong({name: value for name, value in stvl.items() if name not in sources}, STVL)
    for source in sources.values():
        assert (source['topic'], source['data_type']) == ('/depth/points', 'PointCloud2')
        assert not wrong(source, STVL_SOURCE)


def test_stvl_marks_by_points_and_clears_by_a_frustum(
        stvl: Tree, layers: list[Tree], root: Path) -> None:
    marks, clears = stvl['depth_marking'], stvl['depth_clearing']
    assert (marks['marking'], marks['clearing']) == (True, False)
    assert (clears['marking'], clears['clearing']) == (False, True)
    assert marks['filter'] in ('voxel', 'passthrough')  # any other lets NaN through
    assert clears['model_type'] == 0 and clears['max_z'] > marks['obstacle_range']
    # One that keeps old readings asks each for its cloud, which one that only clears has not.
    assert 'observation_persistence' not in clears
    for name, place in (('min_obstacle_height', 'min_obstacle_height'),
                        ('max_obstacle_height', 'max_obstacle_height'),
                        ('obstacle_range', 'obstacle_max_range')):
        assert marks[name] == every_source(layers)['depth_marking'][place]
    node = yaml.safe_load((root / 'config' / 'navigation.yaml').read_text())['/**']
    # The points that say that a direction is free are no wall.
    assert marks['obstacle_range'] < node['ros__parameters']['points']['clearing']


@pytest.mark.parametrize('rate', [5.0, 10.0])
def test_stvl_forgives_a_missing_frame_and_frees_within_two_seconds(
        stvl: Tree, rate: float) -> None:
    """Decay is faster in view, each cycle adding to it: src/spatio_temporal_voxel_grid.cpp."""
    assert stvl['decay_model'] == 0
    now = marked = 0.0
    cycles = 0
    while True:
        now, cycles = now + 1 / rate, cycles + 1
        sooner = stvl['depth_clearing']['decay_acceleration'] * (now - marked) ** 3 / 6
        if stvl['voxel_decay'] - (now - marked) < sooner:
            break
        marked -= sooner
    assert cycles > 2 and now < 2.0
