"""What the demo makes of a recording: figures, and one picture of image, depth and truth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from ..core.metrics import depth_metrics
from ..ros import codec
from .recorder import Received

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
    latency = list(received.latency_ms.values()) or [float('nan')]
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
        'depth_m': _range(received), **accuracy(received)}


def _range(received: Received) -> dict[str, float]:
    depths = [depth[np.isfinite(depth)] for depth in received.depth.values()]
    values = np.concatenate(depths) if depths else np.array([np.nan])
    return {'min': round(float(values.min()), 2), 'median': round(float(np.median(values)), 2),
            'max': round(float(values.max()), 2)}


def accuracy(received: Received) -> dict[str, float]:
    """Return abs_rel, delta1 and rmse_m over the frames whose stamp has ground truth, if any."""
    pairs = [(received.depth[stamp], truth) for stamp, truth in received.truth.items()
             if stamp in received.depth]
    errors = [asdict(depth_metrics(*matched(depth, truth))) for depth, truth in pairs]
    if not errors:
        return {}
    return {name: round(float(np.nanmean([error[name] for error in errors])), 4)
            for name in ('abs_rel', 'delta1', 'rmse_m')}


def matched(depth: NDArray[np.float32],
            truth: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """
    Thin out the larger of two maps so that equal indices are the same pixels.

    :param depth: metres, every k-th pixel of the camera's image.
    :param truth: metres, every n-th pixel of the same image.
    """
    step = max(1, truth.shape[0] // depth.shape[0])
    stride = max(1, depth.shape[0] // truth.shape[0])
    thinned, thin_truth = depth[::stride, ::stride], truth[::step, ::step]
    if thinned.shape != thin_truth.shape:
        raise ValueError(f'depth of {depth.shape} and ground truth of {truth.shape} are not '
                         'samples of one image')
    return thinned, thin_truth


def preview_picture(received: Received, path: Path) -> None:
    """Draw the middle kept image beside its depth and, where there is any, the ground truth."""
    stamps = sorted(stamp for stamp in received.image if stamp in received.depth)
    if not stamps:
        return
    stamp = stamps[len(stamps) // 2]
    panels = {'depth': received.depth[stamp]}
    if stamp in received.truth:
        panels['ground truth'] = received.truth[stamp]
    far = max(float(np.nanpercentile(panel[np.isfinite(panel)], 99))
              for panel in panels.values())
    figure, axes = plt.subplots(1, 1 + len(panels), figsize=(4.2 * (1 + len(panels)), 3.4),
                                layout='constrained')
    axes[0].imshow(codec.decode(received.image[stamp]))
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
