# SPDX-License-Identifier: Apache-2.0
"""The rows of a measurement as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 150

COSTS = {
    'model': 'model', 'network_size': 'network', 'parameters_m': 'M parameters',
    'gflop': 'GFLOP',
}
CORE = {
    'model': 'model', 'precision': 'type', 'size': 'image', 'batch': 'batch', 'ours_ms': 'ours',
    'network_ms': 'network', 'by_hand_ms': 'by hand', 'pipeline_ms': 'pipeline',
    'ratio_by_hand': 'x by hand', 'ratio_pipeline': 'x pipeline',
    'ratio_one_by_one': 'x singly', 'fps': 'fps', 'backend': 'backend',
    'floor_ms': 'floor', 'peak_mb': 'MiB', 'max_rel_diff': 'max diff', 'calls': 'calls',
}
STEPS = {
    'model': 'model', 'size': 'image', 'step': 'step', 'ms': 'ms', 'spread_ms': '10 to 90 %',
    'calls': 'calls',
}
SHELL = {
    'size': 'image', 'shell_ms': 'shell', 'p99_ms': 'p99', 'wait_ms': 'wait',
    'decode_ms': 'decode', 'publish_ms': 'publish', 'target_ms': 'target', 'frames': 'frames',
}
NODES = {
    'node': 'node', 'model': 'model', 'size': 'image', 'rate_hz': 'camera Hz', 'fps': 'depth Hz',
    'latency_p50_ms': 'latency p50', 'latency_p99_ms': 'p99', 'jitter_ms': 'jitter',
    'sent': 'sent', 'received': 'received', 'drops': 'drops', 'cpu_s': 'CPU s',
    'cpu_percent': 'CPU %',
}


def print_table(title: str, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """
    Print rows.

    :param columns: the heading of each key that is shown.
    """
    table = Table(title=title, title_justify='left', box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in columns.values():
        table.add_column(heading, justify='right', no_wrap=True)
    for row in rows:
        table.add_row(*('-' if row.get(key) is None else str(row[key]) for key in columns))
    console = Console()
    Console(width=max(console.width, WIDTH)).print(table)


def bandwidth(sizes: list[str]) -> dict[str, str]:
    """Return the columns of bytes.json for images of these sizes."""
    return {'output': 'output', 'format': 'format'} | {
        f'{size}_{unit}': f'{size} {heading}' for size in sizes
        for unit, heading in (('bytes', 'bytes'), ('mb_s', 'MB/s'), ('ms', 'ms'))}


def print_core(rows: list[dict[str, Any]]) -> None:
    """Print the rows of core.json, which versions they are from, and where TF32 was on."""
    for device in dict.fromkeys(row['device'] for row in rows):
        print_table(f'Milliseconds from host array to host array on {device}, medians', CORE,
                    [row for row in rows if row['device'] == device])
    versions = {f'{name}: transformers {version}' for row in rows
                for name, version in row['transformers'].items()}
    faults = {f'{name} failed: {fault}' for row in rows for name, fault in row['faults'].items()}
    rounded = {f'{name}: float32 rounded to TF32: {where}' for row in rows
               for name, where in row['tf32'].items()}
    for line in sorted(versions) + sorted(rounded) + sorted(faults):
        print(line)
