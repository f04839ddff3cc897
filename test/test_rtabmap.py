# SPDX-License-Identifier: Apache-2.0
"""config/rtabmap.yaml against what RTAB-Map's nodes declare, by name and by type."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

# rtabmap_ros 0.22.1 (Jazzy and Kilted), which declares these in rtabmap_odom/src/OdometryROS.cpp
# and src/nodelets/rgbd_odometry.cpp, rtabmap_sync/src/CommonDataSubscriber.cpp and
# rtabmap_slam/src/CoreWrapper.cpp; so does its branch ros2 at aec4f91.
SYNC: dict[str, type] = {
    'approx_sync': bool, 'topic_queue_size': int, 'sync_queue_size': int, 'qos_camera_info': int,
    'subscribe_rgbd': bool, 'rgbd_cameras': int}
NODES: dict[str, dict[str, type]] = {
    'rgbd_odometry': SYNC | {
        'qos': int, 'frame_id': str, 'odom_frame_id': str, 'publish_tf': bool,
        'wait_for_transform': float, 'initial_pose': str, 'ground_truth_frame_id': str,
        'ground_truth_base_frame_id': str, 'config_path': str, 'publish_null_when_lost': bool,
        'guess_frame_id': str, 'guess_min_translation': float, 'guess_min_rotation': float,
        'guess_min_time': float, 'expected_update_rate': float, 'max_update_rate': float,
        'min_update_rate': float, 'sensor_data_compression_format': str,
        'sensor_data_parallel_compression': bool, 'wait_imu_to_init': bool,
        'always_check_imu_tf': bool, 'log_to_rosout_level': int,
        'approx_sync_max_interval': float, 'keep_color': bool},
    'rtabmap': SYNC | {
        'subscribe_depth': bool, 'subscribe_rgb': bool, 'subscribe_scan': bool,
        'subscribe_scan_cloud': bool, 'subscribe_scan_descriptor': bool,
        'subscribe_stereo': bool, 'subscribe_sensor_data': bool, 'subscribe_odom_info': bool,
        'subscribe_user_data': bool, 'subscribe_odom': bool, 'odom_frame_id': str, 'qos': int,
        'qos_odom': int, 'qos_image': int, 'qos_scan': int, 'qos_user_data': int,
        'qos_sensor_data': int, 'config_path': str, 'database_path': str, 'frame_id': str,
        'odom_frame_id_init': str, 'map_frame_id': str, 'ground_truth_frame_id': str,
        'ground_truth_base_frame_id': str, 'publish_tf': bool, 'tf_delay': float,
        'tf_tolerance': float, 'odom_tf_angular_variance': float,
        'odom_tf_linear_variance': float, 'wait_for_transform': float, 'initial_pose': str,
        'odom_sensor_sync': bool, 'delete_db_on_start': bool, 'log_to_rosout_level': int}}

# rtabmap 0.23.7 (Jazzy and Kilted) and 0.23.8, corelib/include/rtabmap/core/Parameters.h. Each is
# a string to ROS; these are the types in it.
CORE: dict[str, type] = {
    'Odom/ResetCountdown': int, 'Odom/Strategy': int, 'Odom/Holonomic': bool,
    'Kp/MaxDepth': float, 'Kp/MinDepth': float, 'Kp/MaxFeatures': int,
    'Vis/MaxDepth': float, 'Vis/MinDepth': float, 'Vis/EstimationType': int,
    'Vis/DepthAsMask': bool, 'Vis/MinInliers': int, 'Vis/InlierDistance': float,
    'Vis/PnPReprojError': float, 'Vis/PnPMaxVariance': float, 'Vis/MeanInliersDistance': float,
    'Reg/Strategy': int, 'Reg/Force3DoF': bool, 'Reg/RepeatOnce': bool,
    'RGBD/OptimizeMaxError': float, 'RGBD/NeighborLinkRefining': bool,
    'RGBD/CreateOccupancyGrid': bool, 'RGBD/ProximityBySpace': bool,
    'RGBD/LinearUpdate': float, 'RGBD/AngularUpdate': float,
    'Grid/Sensor': int, 'Grid/DepthDecimation': int, 'Grid/RangeMin': float,
    'Grid/RangeMax': float, 'Grid/CellSize': float, 'Grid/3D': bool, 'Grid/RayTracing': bool,
    'Grid/NormalsSegmentation': bool, 'Grid/MinGroundHeight': float,
    'Grid/MaxGroundHeight': float, 'Grid/MaxObstacleHeight': float,
    'Grid/NoiseFilteringRadius': float, 'Grid/NoiseFilteringMinNeighbors': int}
ODOMETRY_GROUPS = ('Odom', 'Vis', 'Reg')
"""Of the groups above those that an odometry node declares (getDefaultOdometryParameters)."""
WRITTEN = {bool: 'true|false', int: r'\d+', float: r'\d+\.\d+'}

TAKEN = {'rgb/image', 'rgb/camera_info', 'depth/image'}
"""The topics of both nodes, to be remapped."""

Tree = dict[str, Any]


@pytest.fixture(scope='module')
def text(root: Path) -> str:
    return (root / 'config' / 'rtabmap.yaml').read_text()


@pytest.fixture(scope='module')
def given(text: str) -> dict[str, Tree]:
    return {name: node['ros__parameters'] for name, node in yaml.safe_load(text).items()}


def test_the_nodes_declare_every_parameter_with_that_type(given: dict[str, Tree]) -> None:
    assert given.keys() == NODES.keys()
    for node, parameters in given.items():
        for name, value in parameters.items():
            if '/' in name:
                assert isinstance(value, str) and re.fullmatch(WRITTEN[CORE[name]], value), name
            else:
                assert type(value) is NODES[node].get(name), name


def test_each_node_gets_what_it_declares_of_the_core(given: dict[str, Tree]) -> None:
    groups = {node: {name.split('/')[0] for name in parameters if '/' in name}
              for node, parameters in given.items()}
    assert groups['rgbd_odometry'] <= set(ODOMETRY_GROUPS)
    assert 'Odom' not in groups['rtabmap']


def test_the_commands_remap_every_topic_of_each_node(text: str) -> None:
    command = ' '.join(line.lstrip('# ') for line in text.splitlines() if line.startswith('#'))
    for started in command.split('ros2 run')[1:]:
        assert set(re.findall(r'-r (\S+):=/\S+', started)) == TAKEN


def test_messages_are_matched_by_their_very_stamp(given: dict[str, Tree]) -> None:
    for parameters in given.values():
        assert parameters['approx_sync'] is False
        assert parameters['sync_queue_size'] >= 30  # a second of images waits for its depth
    assert given['rtabmap']['subscribe_depth'] is True
    assert given['rtabmap']['qos_odom'] == given['rgbd_odometry']['qos']


def test_both_nodes_and_nav2_mean_the_same_ranges(given: dict[str, Tree], root: Path) -> None:
    odometry, slam = given['rgbd_odometry'], given['rtabmap']
    for name in ('Vis/MaxDepth', 'Vis/EstimationType', 'Reg/Force3DoF', 'frame_id'):
        assert odometry[name] == slam[name]
    assert slam['Kp/MaxDepth'] == slam['Vis/MaxDepth']
    costmaps = yaml.safe_load((root / 'config' / 'nav2.yaml').read_text())
    layer = costmaps['local_costmap']['local_costmap']['ros__parameters']['voxel_layer']
    marks = layer['depth_marking']
    assert float(slam['Grid/RangeMax']) == marks['obstacle_max_range']
    assert float(slam['Grid/MaxObstacleHeight']) == marks['max_obstacle_height']
