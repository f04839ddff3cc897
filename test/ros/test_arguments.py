# SPDX-License-Identifier: Apache-2.0
"""What a command line says to nobody is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_estimation_ros.ros.arguments import unheard

NODE = '/robot/depth_estimation'


def said(*arguments: str) -> list[str]:
    return list(unheard(['depth_estimation_node', *arguments], NODE))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / 'own.yaml'


def test_a_usual_command_line_is_heard(file: Path) -> None:
    file.write_text('/**: {ros__parameters: {far: 5.0}}')
    assert said('--ros-args', '-p', 'model:=demo', '-r', 'image:=/cam', '--params-file', str(file),
                '--log-level', 'info', '--') == []
    assert said() == said('image:=/cam') == []


def test_parameters_before_ros_args_are_named() -> None:
    sentence, = said('image:=/cam', '-p', 'model:=demo', '--ros-args', '-p', 'device:=cpu')
    assert "'-p model:=demo'" in sentence and '--ros-args -p' in sentence


@pytest.mark.parametrize('name', [
    'depth_estimation_node', '/depth_estimation', 'robot: {depth', '/*/*/depth_estimation'])
def test_a_file_with_sections_of_other_nodes_only_is_named(file: Path, name: str) -> None:
    nested = '}' if '{' in name else ''
    file.write_text(f'{name}: {{ros__parameters: {{far: 5.0}}}}{nested}')
    sentence, = said('--ros-args', '--params-file', str(file))
    assert str(file) in sentence and f'{NODE} or /**' in sentence


@pytest.mark.parametrize('name', ['/**', NODE, '/*/depth_estimation', '/robot/**'])
def test_a_file_with_a_section_of_the_node_is_heard(file: Path, name: str) -> None:
    file.write_text(f'other: {{ros__parameters: {{a: 1}}}}\n'
                    f'{name}: {{ros__parameters: {{far: 5.0}}}}')
    assert said('--ros-args', '--params-file', str(file)) == []
