# SPDX-License-Identifier: Apache-2.0
"""The figures that the demo makes of a recording, and the tables that it prints of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .received import Flow, Received


def report(received: Received, published: int, seconds: float,
           silent: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Summarise a recording.

    :param received: what the recorder kept.
    :param published: how many images the camera published.
    :param seconds: how long it published.
    :param silent: why nothing comes, by topic; '' for an output that is subscribed to.
    :return: the figures of report.json, in the order in which they are printed.
    """
    latency = list(received.latency_ms) or [float('nan')]
    model, camera = received.of('model'), received.of('camera')
    dropped = {key.removeprefix('dropped_'): int(value) for key, value in camera.items()
               if key.startswith('dropped_')}
    unseen = published - len(received.latency_ms) - sum(dropped.values())
    if unseen:
        dropped['lost_in_transport'] = unseen
    return {
        'model': model.get('model', 'unknown'), 'device': model.get('device', 'unknown'),
        'precision': model.get('precision', 'unknown'),
        'backend': model.get('backend', 'unknown'),
        'converter': model.get('converter', 'unknown'),
        'frames_in': published, 'frames_out': len(received.latency_ms), 'dropped': dropped,
        'fps': round(len(received.latency_ms) / seconds, 1),
        'latency_ms': {'p50': round(float(np.percentile(latency, 50)), 1),
                       'p99': round(float(np.percentile(latency, 99)), 1)},
        'depth_m': received.depth.summary(), **accuracy(received),
        'outputs': {topic: _rate(received.flows.get(topic, Flow()), seconds, reason)
                    for topic, reason in (silent or {}).items()}}


def _rate(flow: Flow, seconds: float, silent_because: str) -> dict[str, Any]:
    rate = {'messages': flow.messages, 'hz': round(flow.messages / seconds, 1),
            'mb_s': round(flow.size / seconds / 1e6, 3)}
    return {**rate, 'silent_because': silent_because} if silent_because else rate


def accuracy(received: Received) -> dict[str, Any]:
    """Return abs_rel, delta1 and rmse_m over the frames whose stamp has ground truth, if any."""
    if received.mismatch:
        return {'ground_truth': f'not compared: {received.mismatch}'}
    return {name: round(float(np.nanmean(errors)), 4)
            for name, errors in received.errors.items() if len(errors)}


def print_report(result: dict[str, Any]) -> None:
    """Print the figures as one table, and what came of each output as another."""
    console = Console(width=100)
    figures = Table('figure', 'value', title='depth_estimation_ros demo')
    for name, value in result.items():
        if name != 'outputs':
            text = ', '.join(f'{key} {number}' for key, number in value.items()) if isinstance(
                value, dict) else str(value)
            figures.add_row(name, text or 'none')
    console.print(figures)
    outputs = Table('output', title='what the node published')
    for heading in ('messages', 'Hz', 'MB/s'):
        outputs.add_column(heading, justify='right')
    for topic, rate in result['outputs'].items():
        reason = rate.get('silent_because') or ('' if rate['messages'] else 'nothing came')
        outputs.add_row(topic, *([f'none: {reason}', '', ''] if reason else [
            str(rate['messages']), f'{rate["hz"]:.1f}', f'{rate["mb_s"]:.3f}']))
    console.print(outputs)
