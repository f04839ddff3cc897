# SPDX-License-Identifier: Apache-2.0
"""
Write a layout for Rerun that shows a recording of the node: pip install rerun-sdk, 0.41 or newer.

    python rerun_blueprint.py depth.rbl
    rerun mcap convert bag.mcap -o bag.rrd --application-id depth_estimation_ros
    rerun bag.rrd depth.rbl
"""

from __future__ import annotations

import sys

import rerun as rr
import rerun.blueprint as rrb

APPLICATION = 'depth_estimation_ros'
"""A blueprint is for recordings of its application, by default named after the file's path."""

FRAME = 'camera_optical_frame'
"""The images' frame_id, in which the cloud is shown, and which needs no TF."""

NEAR, FAR = 0.0, 10.0
"""Metres of the first and of the last colour, as the node's preview.near and preview.far."""

TIMELINE = 'ros2_timestamp'
"""By the headers' stamps, so what is shown together is of one image."""

Vector = tuple[float, float, float]

EYE: Vector = (0.0, -1.5, -2.5)
"""Behind and above the camera, in its optical frame: x right, y down, z forward."""


def blueprint(frame: str = FRAME) -> rrb.Blueprint:
    """
    Return the layout: preview and depth beside the cloud, the diagnostics below.

    :param frame: the images' frame_id.
    """
    depth = rr.DepthImage.from_fields(colormap='turbo', depth_range=[NEAR, FAR])
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Vertical(
                    rrb.Spatial2DView(origin='/depth/preview', name='Depth in colours'),
                    rrb.Spatial2DView(origin='/depth/image_rect', name='Depth',
                                      overrides={'/depth/image_rect': depth})),
                rrb.Spatial3DView(
                    origin='/depth/points', name='Points',
                    spatial_information=rrb.SpatialInformation(target_frame=f'{frame}'),
                    eye_controls=rrb.EyeControls3D(
                        position=EYE, look_target=(0.0, 0.0, 3.0), eye_up=(0.0, -1.0, 0.0))),
                column_shares=[1, 2]),
            rrb.DataframeView(
                origin='/diagnostics', name='Diagnostics',
                query=rrb.archetypes.DataframeQuery(timeline=TIMELINE, auto_scroll=True)),
            row_shares=[4, 1]),
        rrb.TimePanel(state='collapsed', timeline=TIMELINE), collapse_panels=True)


def main() -> None:
    """Write it to the path that the command line names, for the frame that may follow."""
    if len(sys.argv) not in (2, 3):
        sys.exit(f'usage: {sys.argv[0]} OUT.rbl [FRAME_ID]')
    blueprint(*sys.argv[2:]).save(APPLICATION, sys.argv[1])


if __name__ == '__main__':
    main()
