# SPDX-License-Identifier: Apache-2.0
"""Where the package's own files lie: the installed share folder, or the source tree."""

from pathlib import Path

DEMO_MODEL = 'demo'
"""The name by which parameters and tools call the embedded model."""


def share_folder() -> Path:
    """
    Return the folder that holds ``config``, ``launch`` and ``models``.

    :raises LookupError: when the package is neither installed nor in its source tree.
    """
    source = Path(__file__).resolve().parents[1]
    if (source / 'package.xml').is_file():
        return source
    from ament_index_python.packages import get_package_share_directory
    return Path(get_package_share_directory('depth_estimation_ros'))


def model_folder(name: str) -> str:
    """Return the folder of the embedded model for 'demo', else the name as it is."""
    return str(share_folder() / 'models' / DEMO_MODEL) if name == DEMO_MODEL else name
