# SPDX-License-Identifier: Apache-2.0
"""config/foxglove.json against the panels and settings that Lichtblick and Foxglove know."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

# Lichtblick 1.28.1, a fork of Foxglove Studio's open source: src/panels/index.ts.
# The layout has the form of both; foxglove-sdk 0.30.3 writes a newer one with names of its own.
PANELS = {'3D', 'DiagnosticStatusPanel', 'DiagnosticSummary', 'Image', 'Indicator', 'Gauge',
          'Teleop', 'map', 'Parameters', 'Plot', 'PieChart', 'Publish', 'CallService',
          'RawMessages', 'RawMessagesVirtual', 'RosOut', 'StateTransitions', 'Table',
          'TopicGraph', 'SourceInfo', 'GlobalVariableSliderPanel', 'NodePlayground', 'Tab'}

# The settings of each that both know: Lichtblick 1.28.1 (panels/ThreeDeeRender/IRenderer.ts,
# renderables/colorMode.ts and pointExtensionUtils.ts, DiagnosticSummary/types.ts,
# Plot/utils/config.ts) and foxglove-sdk 0.30.3 (Python, foxglove.layouts).
COLOURS = {'colorMode', 'flatColor', 'colorField', 'gradient', 'colorMap', 'explicitAlpha',
           'minValue', 'maxValue'}
IMAGE = COLOURS | {'imageTopic', 'calibrationTopic', 'annotations', 'synchronize', 'rotation',
                   'flipHorizontal', 'flipVertical'}
POINTS = COLOURS | {'visible', 'frameLocked', 'pointSize', 'pointShape', 'decayTime'}
CAMERA = {'distance', 'perspective', 'phi', 'target', 'targetOffset', 'targetOrientation',
          'thetaOffset', 'fovy', 'near', 'far'}
RENDERER = {'cameraState', 'followTf', 'followMode', 'scene', 'transforms', 'topics', 'layers',
            'publish', 'imageMode'}
SETTINGS = {
    '3D': RENDERER, 'Image': RENDERER,
    'DiagnosticSummary': {'minLevel', 'pinnedIds', 'topicToRender', 'hardwareIdFilter',
                          'sortByLevel', 'secondsUntilStale'},
    'Plot': {'paths', 'minXValue', 'maxXValue', 'minYValue', 'maxYValue', 'showLegend',
             'legendDisplay', 'showPlotValuesInLegend', 'showXAxisLabels', 'showYAxisLabels',
             'isSynced', 'xAxisVal', 'xAxisPath', 'xAxisLabel', 'yAxisLabel',
             'followingViewWidth', 'sidebarDimension'}}
SERIES = {'value', 'enabled', 'color', 'label', 'timestampMethod', 'showLine', 'lineSize'}
MODES, MAPS = {'flat', 'gradient', 'colormap', 'rgb', 'rgba'}, {'turbo', 'rainbow'}
FOLLOW = {'follow-pose', 'follow-position', 'follow-none'}

VALUE = re.compile(r'/diagnostics\.status\[:\]\{name=="(?P<status>[^"]+)"\}'
                   r'\.values\[:\]\{key=="(?P<key>[^"]+)"\}\.value')
"""The path by which Lichtblick's diagnostics panel itself plots a value."""

Tree = dict[str, Any]


@pytest.fixture(scope='module')
def layout(root: Path) -> Tree:
    return json.loads((root / 'config' / 'foxglove.json').read_text())


def panel_type(name: str) -> str:
    return name.partition('!')[0]


def shown(node: Any) -> list[str]:
    """Return the panels of a part of the window."""
    if isinstance(node, str):
        return [node]
    assert node.keys() <= {'first', 'second', 'direction', 'splitPercentage'}
    assert node['direction'] in ('row', 'column') and 0 < node.get('splitPercentage', 50) < 100
    return shown(node['first']) + shown(node['second'])


def test_every_panel_is_shown_once_and_known(layout: Tree) -> None:
    assert layout.keys() == {'configById', 'globalVariables', 'userNodes', 'playbackConfig',
                             'layout'}
    panels = shown(layout['layout'])
    assert sorted(panels) == sorted(layout['configById'])
    assert {panel_type(name) for name in panels} == {
        'Image', '3D', 'DiagnosticSummary', 'Plot'} <= PANELS


def test_every_setting_is_known(layout: Tree) -> None:
    for name, config in layout['configById'].items():
        assert config.keys() <= SETTINGS[panel_type(name)], name
        assert config.get('imageMode', {}).keys() <= IMAGE
        assert config.get('cameraState', {}).keys() <= CAMERA
        assert config.get('followMode', 'follow-pose') in FOLLOW
        coloured = [*config.get('topics', {}).values(), config.get('imageMode', {})]
        for each in coloured:
            assert each.get('colorMode', 'flat') in MODES
            assert each.get('colorMap', 'turbo') in MAPS
        assert all(each.keys() <= POINTS for each in config.get('topics', {}).values())
        assert all(series.keys() <= SERIES for series in config.get('paths', []))


def test_the_plot_is_of_values_in_the_diagnostics(layout: Tree) -> None:
    plots = [series['value'] for config in layout['configById'].values()
             for series in config.get('paths', [])]
    assert plots and all(VALUE.fullmatch(value) for value in plots)
