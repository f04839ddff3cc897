# SPDX-License-Identifier: Apache-2.0
"""Installs the package the ament_python way: modules, resource index, launch, config, models."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = 'depth_estimation_ros'
SHARE = Path('share') / NAME
MANIFEST = ElementTree.parse(Path(__file__).parent / 'package.xml').getroot()


def share(*folders: str) -> list[tuple[str, list[str]]]:
    """Return the data_files entries of every folder below the given ones."""
    files = [path for folder in folders for path in sorted(Path(folder).rglob('*'))
             if path.is_file() and '__pycache__' not in path.parts]
    return [(str(SHARE / path.parent), [str(path)]) for path in files]


setup(
    name=NAME,
    version=MANIFEST.findtext('version'),
    description=' '.join(MANIFEST.findtext('description', '').split()),
    maintainer=MANIFEST.findtext('maintainer'),
    maintainer_email=next(MANIFEST.iter('maintainer')).get('email'),
    license=MANIFEST.findtext('license'),
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', 'report/page.*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (str(SHARE), ['package.xml']),
        *share('launch', 'config', 'models', 'clips'),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools'],
    zip_safe=True,
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': [
        'depth_estimation_node = depth_estimation_ros.ros.main:main',
        'camera = depth_estimation_ros.tools.camera:main',
        'estimate = depth_estimation_ros.tools.estimate:main',
        'process_bag = depth_estimation_ros.tools.process_bag:main',
        'process_bags = depth_estimation_ros.tools.process_bags:main',
        'evaluate = depth_estimation_ros.tools.evaluate:main',
        'export = depth_estimation_ros.tools.export:main',
        'calibrate = depth_estimation_ros.tools.calibrate:main',
        'report = depth_estimation_ros.tools.report:main',
    ]},
)
