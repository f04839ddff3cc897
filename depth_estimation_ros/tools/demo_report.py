# SPDX-License-Identifier: Apache-2.0
"""What the demo makes of a recording: figures, and one picture of image, depth and truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ..ros import codec
from .received import Received

matplotlib.use('Agg')
from matplotlib import pyplot as plt


def report(received: Received, published: int, seconds: float) -> dict[str, Any]:
    """
    Summarise a recording.

    :param received: what the recorder kept.
    :param published: how many images the camera published.
    :param seconds: how long it published.
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
        'depth_m': received.depth.summary(), **accuracy(received)}


def accuracy(received: Received) -> dict[str, Any]:
    """Return abs_rel, delta1 and rmse_m over the frames whose stamp has ground truth, if any."""
    if received.mismatch:
        return {'ground_truth': f'not compared: {received.mismatch}'}
    return {name: round(float(np.nanmean(errors)), 4)
            for name, errors in received.errors.items() if len(errors)}


def preview_picture(received: Received, path: Path) -> None:
    """Draw the middle kept image beside its depth and, where there is any, the ground truth."""
    moments = [moment for moment in received.moments.values() if moment.depth is not None]
    if not moments:
        return
    moment = moments[len(moments) // 2]
    panels = {title: panel for title, panel in (('depth', moment.depth),
                                                ('ground truth', moment.truth))
              if panel is not None}
    far = max(float(np.nanpercentile(panel[np.isfinite(panel)], 99))
              for panel in panels.values())
    figure, axes = plt.subplots(1, 1 + len(panels), figsize=(4.2 * (1 + len(panels)), 3.4),
                                layout='constrained')
    axes[0].imshow(codec.decode(moment.image))
    axes[0].set_title('image')
    for axis, (title, panel) in zip(axes[1:], panels.items(), strict=True):
        drawn = axis.imshow(np.where(np.isfinite(panel), panel, np.nan), cmap='turbo', vmin=0,
                            vmax=far)
        axis.set_title(title)
    for axis in axes:
        axis.axis('off')
    figure.colorbar(drawn, ax=axes, label='metres', fraction=0.025)
    figure.savefig(path, dpi=110)
    plt.close(figure)
