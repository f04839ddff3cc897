# SPDX-License-Identifier: Apache-2.0
"""Depth as a cloud of points, laid out as sensor_msgs/PointCloud2 carries it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device_constants import device_constant
from .frame import Depth, Image
from .pinhole import Pinhole

Cloud = NDArray[np.float32]
"""rows×columns×4, the fourth number without meaning."""

BAND_BYTES = 1 << 20
"""The part of a cloud worked on at a time on the CPU, so that it stays in its cache."""


def points_from_depth(depth: Tensor, camera: Pinhole, image: Tensor | None = None, *,
                      stride: int = 1, clearing: float | None = None,
                      out: Tensor | None = None) -> Tensor:
    """
    Turn depth into an organised cloud in the optical frame, on the depth's device.

    A point takes the bytes that depth_image_proc gives it (little-endian): x, y and z at 0, 4 and
    8; with an image also rgb at 16, whose bytes are blue, green, red and 0. ``point_step`` is 16,
    or 32 with an image; what lies between is 0. A pixel whose depth is not finite gives three
    NaN, so the cloud is not dense.

    :param depth: float32 metres along Z (REP 118), H×W, not finite as REP 117 says.
    :param camera: the intrinsics of the depth image (P).
    :param image: uint8 RGB, H×W×3, on the same device; None for a cloud without colour.
    :param stride: take every so many rows and columns, from the first on; pixels as they are.
    :param clearing: metres along Z at which a point stands for a pixel of +Inf, so that who
        clears space by rays has one to follow; None leaves it NaN. Unknown pixels stay NaN.
    :param out: a cloud that was returned before for this size, to be written anew; reusing one
        saves the memory's first touch, which costs more than the arithmetic.
    :return: float32, ⌈H/stride⌉×⌈W/stride⌉×4, or ×8 with an image.
    :raises ValueError: when the image has another size than the depth.
    """
    if image is not None and image.shape[:2] != depth.shape:
        raise ValueError(f'the image has {tuple(image.shape[:2])} rows and columns, the depth '
                         f'{tuple(depth.shape)}: resize one to the other')
    depth = depth[::stride, ::stride]
    shape = (*depth.shape, 4 if image is None else 8)
    cloud = depth.new_zeros(shape) if out is None else out.view(shape)
    right, down = _slopes(camera, shape[0], shape[1], stride, depth.device)
    beyond = torch.nan if clearing is None else clearing
    pixels = None if image is None else image[::stride, ::stride]
    for band in _bands(cloud):
        z = depth[band].nan_to_num(torch.nan, beyond, torch.nan)
        part = cloud[band]
        torch.mul(z, right, out=part[..., 0])
        torch.mul(z, down[band], out=part[..., 1])
        part[..., 2] = z
        if pixels is not None:
            part.view(torch.int32)[..., 4] = packed_rgb(pixels[band])
    return cloud


def _bands(cloud: Tensor) -> list[slice]:
    rows = cloud.shape[0]
    step = max(BAND_BYTES // (cloud.shape[1] * cloud.shape[2] * 4 or 1), 1)
    if cloud.device.type != 'cpu':
        step = max(rows, 1)
    return [slice(start, start + step) for start in range(0, rows, step)]


@device_constant
def _slopes(camera: Pinhole, rows: int, columns: int, stride: int,
            device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x/z of each column, W, and y/z of each row, H×1, float32."""
    u, v = (torch.arange(count, dtype=torch.float64) * stride for count in (columns, rows))
    return (((u - camera.cx) / camera.fx).float().to(device),
            ((v - camera.cy) / camera.fy).float()[:, None].to(device))


def packed_rgb(image: Tensor) -> Tensor:
    """
    Pack colours as the field ``rgb`` of PointCloud2 has them: 0x00RRGGBB.

    :param image: uint8 RGB, H×W×3.
    :return: int32, H×W.
    """
    if image.device.type == 'cpu' and image.numel():
        bgra = torch.from_numpy(cv2.cvtColor(image.numpy(), cv2.COLOR_RGB2BGRA))
        return bgra.view(torch.int32).squeeze(-1) & 0xFFFFFF
    red, green, blue = image.int().unbind(-1)
    return red << 16 | green << 8 | blue


def one_point_a_voxel(cloud: Tensor, voxel: float) -> Tensor:
    """
    Thin a cloud to one point in each cube of a grid.

    The point kept is one that was measured, the first in the order of the pixels: a mean would
    lie off the surface wherever a cube holds an edge or a corner.

    :param cloud: float32, H×W×4 or ×8, of :func:`points_from_depth`.
    :param voxel: the cubes' edge in metres.
    :return: float32, N×4 or N×8: unorganised, dense, in the order of the pixels.
    """
    points = cloud.flatten(0, 1)
    points = points[points[:, 2].isfinite()]
    if not len(points):
        return points
    cells = (points[:, :3] / voxel).floor_().long()
    cells -= cells.amin(0)
    x_count, y_count, _ = (cells.amax(0) + 1).tolist()
    key = (cells[:, 2] * y_count + cells[:, 1]) * x_count + cells[:, 0]
    _, cell = key.unique(return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = torch.full_like(order, len(points)).scatter_reduce_(0, cell, order, 'amin')
    kept = first[first < len(points)].sort().values
    return points[kept]


def cloud_of(depth: Depth, camera: Pinhole, image: Image | None = None, *, stride: int,
             clearing: float, voxel: float, out: Cloud | None = None) -> Cloud:
    """
    Turn a depth image on the host into a cloud.

    :param depth: float32 metres along Z (REP 118), H×W, not finite as REP 117 says.
    :param image: uint8 RGB of whatever size, for a cloud with colour.
    :param stride: take every so many rows and columns.
    :param clearing: metres at which a point stands for a pixel of +Inf; 0 leaves it NaN.
    :param voxel: the edge in metres of the cubes that hold one point each; 0 keeps all points.
    :param out: a cloud of the same size, whose memory is used again.
    :return: float32, rows×columns×4, or 1×N×4 with a voxel; ×8 with an image.
    """
    if image is not None and image.shape[:2] != depth.shape:
        image = cv2.resize(image, depth.shape[::-1], interpolation=cv2.INTER_AREA)
    pixels = None if image is None else torch.from_numpy(np.require(image, requirements=['W']))
    whole = points_from_depth(
        torch.from_numpy(depth), camera, pixels, stride=stride, clearing=clearing or None,
        out=None if out is None else torch.from_numpy(out))
    return whole.numpy() if not voxel else one_point_a_voxel(whole, voxel)[None].numpy()
