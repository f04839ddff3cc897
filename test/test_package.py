# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: one version, complete documents, clean code."""

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import depth_estimation_ros
from depth_estimation_ros.ros.settings import Settings


def parameters() -> dict[str, object]:
    """Return every parameter's ROS name and default."""
    return Settings().values()


def flattened(tree: dict, prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flattened(value, f'{prefix}{name}.') if isinstance(value, dict) else {
            prefix + name: value}
    return flat


def test_one_version_everywhere(root):
    manifest = ElementTree.parse(root / 'package.xml').getroot()
    assert manifest.get('format') == '3'
    newest = re.search(r'^(\d+\.\d+\.\d+) ', (root / 'CHANGELOG.rst').read_text(), re.MULTILINE)
    assert newest is not None
    assert manifest.findtext('version') == depth_estimation_ros.__version__ == newest.group(1)


def test_rosdep_can_install_what_the_manifest_names(root):
    """ament_python is a build type without a package; versions that matter come before rosdep."""
    manifest = ElementTree.parse(root / 'package.xml').getroot()
    named = {str(entry.text) for entry in manifest if entry.tag.endswith('depend')}
    assert 'rclpy' in named and 'ament_python' not in named
    skipped = f"--skip-keys '{' '.join(sorted(name for name in named if name.endswith('-pip')))}'"
    for file in ('README.md', 'docs/deploying.md', '.github/workflows/test.yml'):
        assert skipped in (root / file).read_text(), file


def test_the_parameters_file_holds_every_parameter_with_its_default(root):
    text = (root / 'config' / 'zoedepth.yaml').read_text()
    given = flattened(yaml.safe_load(text)['/**']['ros__parameters'])
    defaults = {name: list(value) if isinstance(value, tuple) else value
                for name, value in parameters().items()}
    assert given == defaults
    lines = [line for line in text.splitlines() if re.match(r' {4,}\w+: \S', line)]
    assert len(lines) == len(defaults) and all('#' in line for line in lines)


@pytest.mark.parametrize('family', ['depth_anything', 'depth_pro', 'dpt_dinov2', 'glpn',
                                    'prompt_depth_anything'])
def test_the_parameters_file_of_a_family_is_taken(root, family):
    text = (root / 'config' / f'{family}.yaml').read_text()
    given = flattened(yaml.safe_load(text)['/**']['ros__parameters'])
    assert given.keys() <= parameters().keys() and given['model'].count('/') == 1
    changed = Settings().changed(given).values()
    assert {name: changed[name] for name in given} == given
    assert f'config/{family}.yaml' in (root / 'docs' / 'models.md').read_text()


def test_the_readme_lists_every_parameter_with_its_default(root):
    rows = dict(re.findall(r'^\| `([\w.]+)` \| `([^`]*)` \|', (root / 'README.md').read_text(),
                           re.MULTILINE))
    shown = {name: rows.get(name) for name in parameters()}
    assert shown == {name: str(list(value) if isinstance(value, tuple) else value).lower()
                     if isinstance(value, bool) else
                     str(list(value) if isinstance(value, tuple) else value)
                     for name, value in parameters().items()}


@pytest.mark.parametrize('command', [
    ['ruff', 'check', '.'], pytest.param(['mypy'], marks=pytest.mark.slow),
], ids=['ruff', 'mypy'])
def test_the_code_is_clean(root, command):
    checked = subprocess.run([sys.executable, '-m', *command], cwd=root, capture_output=True,
                             text=True, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_module_is_longer_than_it_can_be_read(root):
    lengths = {str(path): len(path.read_text().splitlines())
               for path in (root / 'depth_estimation_ros').rglob('*.py')}
    assert not {path: lines for path, lines in lengths.items() if lines > 300}


def test_every_source_names_its_licence(root):
    folders = ('depth_estimation_ros', 'launch', 'config', 'test', 'training')
    sources = [path for folder in folders for path in (root / folder).rglob('*.py')]
    assert len(sources) > 100
    assert not [str(path) for path in sources if path.read_text().strip() and (
        'SPDX-License-Identifier: Apache-2.0' not in path.read_text()[:200])]
