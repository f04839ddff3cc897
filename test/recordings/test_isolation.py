# SPDX-License-Identifier: Apache-2.0
"""Recordings are read where no ROS is installed, and know nothing of the node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .bags import drive, write_rosbag2

WITHOUT_ROS = """
import sys

FORBIDDEN = {'rclpy', 'sensor_msgs', 'std_msgs', 'builtin_interfaces', 'ament_index_python',
             'torch'}


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

from pathlib import Path
from depth_estimation_ros.recordings import (
    Writer, find_cameras, metres, open_recording, shots)
recording = open_recording(sys.argv[1])
made = list(shots(recording, find_cameras(recording)[0]))
assert len(made) == 12 and metres(made[0].truth.message).shape == (48, 64)
with Writer(Path(sys.argv[1] + ' copy')) as writer:
    writer.add_topic('/image', made[0].image.type)
    writer.write('/image', made[0].image.time, made[0].image.data)
above = [name for name in sys.modules if name.startswith(
    ('depth_estimation_ros.ros', 'depth_estimation_ros.tools'))]
assert not above and not FORBIDDEN & {name.split('.')[0] for name in sys.modules}, above
"""


def test_recordings_are_read_and_written_without_ros(tmp_path: Path) -> None:
    path = write_rosbag2(tmp_path / 'drive', drive())
    done = subprocess.run([sys.executable, '-c', WITHOUT_ROS, str(path)], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
