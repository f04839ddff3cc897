# SPDX-License-Identifier: Apache-2.0
"""The core stands alone: no ROS below it, and nothing of the package above it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import depth_estimation_ros

PACKAGE = Path(depth_estimation_ros.__file__).parent
LIBRARIES = {'torch', 'transformers', 'numpy', 'cv2', 'PIL', 'huggingface_hub', 'safetensors',
             'yaml', 'openvino', 'onnxruntime', 'triton'}
"""All that the core may import besides the standard library; the last three only when there."""

WITHOUT_ROS = """
import importlib
import pkgutil
import sys

FORBIDDEN = {'rclpy', 'sensor_msgs', 'std_msgs', 'diagnostic_msgs', 'rcl_interfaces', 'cv_bridge',
             'launch', 'launch_ros', 'ament_index_python', 'rosbags'}


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in FORBIDDEN:
            raise ImportError(f'{name} is not to be had here')


sys.meta_path.insert(0, Blocker())
try:
    import rclpy
except ImportError:
    pass
else:
    sys.exit('the blocker blocks nothing')

import numpy
from depth_estimation_ros import core
for module in pkgutil.iter_modules(core.__path__):
    importlib.import_module(f'depth_estimation_ros.core.{module.name}')
from depth_estimation_ros.core.estimator import DepthEstimator, EstimatorOptions
estimator = DepthEstimator(EstimatorOptions(sys.argv[1], device='cpu',
                                            backend='torch'))
depth, = estimator.estimate([numpy.zeros((48, 64, 3), numpy.uint8)])
assert depth.shape == (48, 64) and numpy.isfinite(depth).all()
assert not FORBIDDEN & {name.split('.')[0] for name in sys.modules}
"""


def imports_of(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each file below a folder of the package with each module that it imports, absolute."""
    for path in sorted((PACKAGE / folder).rglob('*.py')):
        home = ['depth_estimation_ros', *path.relative_to(PACKAGE).parts[:-1]]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = home[:len(home) + 1 - node.level] if node.level else []
                module = '.'.join([*base, *filter(None, [node.module])])
                yield path, module
                yield from ((path, f'{module}.{alias.name}') for alias in node.names)


def within(name: str, folder: str) -> bool:
    return f'{name}.'.startswith(f'depth_estimation_ros.{folder}.')


def test_the_core_works_where_ros_cannot_be_imported(checkpoint_of: Callable[..., Path]) -> None:
    done = subprocess.run([sys.executable, '-c', WITHOUT_ROS, str(checkpoint_of())], timeout=120,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_core_imports_itself_and_the_libraries_it_names_only() -> None:
    allowed = LIBRARIES | set(sys.stdlib_module_names)
    foreign = {(path.name, name) for path, name in imports_of('core')
               if not within(name, 'core') and name.split('.')[0] not in allowed}
    assert not foreign


def test_the_shell_leaves_the_network_to_the_core() -> None:
    networks = {(path.name, name) for path, name in imports_of('ros')
                if name.split('.')[0] in ('torch', 'transformers', 'huggingface_hub')}
    assert not networks


@pytest.mark.parametrize('folder', ['core', 'recordings', 'ros'])
def test_nothing_imports_the_tools(folder: str) -> None:
    found = list(imports_of(folder))
    assert len(found) > 20
    assert not [path.name for path, name in found if within(name, 'tools')]
