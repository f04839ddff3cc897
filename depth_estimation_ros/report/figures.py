# SPDX-License-Identifier: Apache-2.0
"""The reports of a demo and of a soak, whose figures are in report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..recordings import RecordingError
from .description import Report, Section, Series
from .frames import frames_table
from .recorded import recorded_report

NAMES = {'model': 'Model', 'device': 'Device', 'precision': 'Precision', 'backend': 'Backend',
         'fps': 'Frames a second', 'node_exit_code': 'Exit code of the node',
         'seconds': 'Seconds', 'seconds_of_building': 'Seconds of building networks',
         'unaccounted': 'Frames unaccounted for', 'rss_mb_start': 'Memory at the start, MiB',
         'rss_mb_end': 'Memory at the end, MiB', 'rss_mb_peak': 'Peak of memory, MiB',
         'changes_accepted': 'Parameter changes accepted',
         'changes_refused': 'Parameter changes refused'}
"""The figures that are shown as they are, and what they are called."""


def demo_report(run: Path, figures: Mapping[str, Any]) -> Report:
    """Describe a demo's folder; one that recorded no depth has its figures only."""
    try:
        bag = recorded_report(run / 'bag')
    except RecordingError as error:
        bag = Report('', {}, (), [str(error)])
    latency = figures.get('latency_ms') or {}
    facts = {**_facts(figures), **({'Latency, p50 and p99': (
        f'{latency["p50"]} and {latency["p99"]} ms')} if latency else {})}
    return replace(bag, title=f'Demo in {run.resolve().name}', facts={**facts, **bag.facts},
                   sections=[frames_table({'camera': _account(figures)}), *bag.sections])


def soak_report(run: Path, figures: Mapping[str, Any]) -> Report:
    """Describe a soak: frames by reason, and the node's memory over time."""
    curve = figures['rss_mb']
    facts = {**_facts(figures), 'Growth of memory': f'{figures["growth"]:.2%}',
             'Threads': _span(figures['threads']), 'File handles': _span(figures['file_handles'])}
    sections: list[Section] = [
        frames_table({'all cameras': _account(figures)}),
        Series('Memory of the node', [second for second, _ in curve],
               {'resident memory': [size for _, size in curve]}, 'MiB',
               f'Networks are built in the first {figures["seconds_of_building"]} readings.')]
    lost = figures['unaccounted']
    return Report(f'Soak in {run.resolve().name}', facts, sections,
                  [f'{lost} frames are unaccounted for'] if lost else [])


def _facts(figures: Mapping[str, Any]) -> dict[str, str]:
    return {said: str(figures[name]) for name, said in NAMES.items() if name in figures}


def _account(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {'received': figures['frames_in'], 'published': figures['frames_out'],
            'dropped': figures['dropped']}


def _span(limits: tuple[int, int]) -> str:
    least, most = limits
    return f'{least}' if least == most else f'{least} to {most}'
