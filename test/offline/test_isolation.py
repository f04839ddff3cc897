# SPDX-License-Identifier: Apache-2.0
"""The commands on recordings run where no ROS is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..recordings.bags import write_rosbag2
from .conftest import frames

WITHOUT_ROS = """
import sys

FORBIDDEN = {'rclpy', 'sensor_msgs', 'std_msgs', 'builtin_interfaces', 'ament_index_python',
             'rpyutils', 'cv_bridge'}


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

from depth_estimation_ros.tools import estimate, process_bag, report
source, output, model = sys.argv[1:]
network = ['--model', model, '--device', 'cpu', '--backend', 'torch', '--stats']
sys.argv[1:] = [source, output + '/bag', '--preview', *network]
assert process_bag.main() == 0
sys.argv[1:] = [source, '--output', output + '/files', '--preview', '--cloud', *network]
assert estimate.main() == 0
for run in 'bag', 'files':
    assert report.main([f'{output}/{run}', '--output', f'{output}/{run}.html']) == 0
assert not FORBIDDEN & {name.split('.')[0] for name in sys.modules}
"""


def test_depth_of_recordings_needs_no_ros(tmp_path: Path, checkpoint: Path) -> None:
    source = write_rosbag2(tmp_path / 'in', frames(2))
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_ROS, str(source), str(tmp_path), str(checkpoint)],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('peak memory') == 2
    assert done.stdout.count('2 frames, 2 with depth') == 2
    assert (tmp_path / 'files' / 'ply' / '000001.ply').is_file()
