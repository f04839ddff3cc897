# SPDX-License-Identifier: Apache-2.0
"""How to load and run a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EstimatorOptions:
    """How to load and run a model."""

    model: str = 'Intel/zoedepth-nyu-kitti'
    """A folder, or an id on the Hugging Face hub."""
    revision: str = 'main'
    """The hub's branch, tag or commit."""
    local_files_only: bool = False
    """Never ask the hub, only its cache on this machine."""
    device: str = 'auto'
    """'auto', 'cpu', 'cuda' or 'cuda:N'."""
    precision: str = 'auto'
    """'auto', 'fp32', 'bf16' or 'fp16'."""
    height: int = 0
    """Rows that the network sees; 0 takes the checkpoint's own, or follows the width."""
    width: int = 0
    """Columns that the network sees; 0 takes the checkpoint's own, or follows the height."""
    backend: str = 'auto'
    """'auto', 'torch' or 'openvino'; auto takes OpenVINO on the CPU where it is installed."""
    compile: bool = False
    """Build with torch.compile too, and use it where it is faster."""
    domain: str = 'auto'
    """The metric head that serves every image, 'nyu' or 'kitti'; 'auto' lets the model choose."""
    only_metres: bool = False
    """Refuse models and frames whose depth is not in metres."""
    consistent: bool = False
    """Refuse frames whose depth would be of another quantity than the model gives as a rule."""
