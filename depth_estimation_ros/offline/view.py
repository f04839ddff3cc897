# SPDX-License-Identifier: Apache-2.0
"""Frames on their way into Rerun: its viewer, or a file that it opens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..core.pinhole import Pinhole
from ..recordings import RecordingError, stamp_of
from .files import fault
from .frames import Frame

APPLICATION = 'depth_estimation_ros'
QUALITY = 85
"""Of the JPEGs that images become."""


class View:
    """Shows image and depth of each frame, and its points where its camera is known."""

    def __init__(self, file: Path | None = None, far: float = 10.0) -> None:
        """
        Open the viewer, or begin a file.

        :param file: an .rrd to write instead of opening the viewer.
        :param far: metres of the last colour.
        :raises RecordingError: when Rerun is not installed, cannot be opened, or not be written.
        """
        try:
            import rerun
        except ImportError as error:
            raise RecordingError('Rerun is not installed: pip install rerun-sdk') from error
        self._rerun, self._far, self._count = rerun, far, 0
        self._stream = rerun.RecordingStream(APPLICATION)
        try:
            if file is None:
                self._stream.spawn()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._stream.save(file)
        except OSError as error:
            raise fault(file or Path('rerun'), error) from error
        except RuntimeError as error:
            raise RecordingError(f'Rerun cannot be opened: {" ".join(str(error).split())}'
                                 ) from error

    def show(self, frame: Frame, camera: Pinhole | None) -> None:
        """
        Show a frame with depth, at its place in the recording and at its capture time.

        :param camera: the rays of its pixels; without them there are no points.
        """
        assert frame.depth is not None and frame.pixels is not None
        rerun, stream, (height, width) = self._rerun, self._stream, frame.depth.shape
        stream.set_time('frame', sequence=self._count)
        stream.set_time('stamp', timestamp=np.datetime64(stamp_of(frame.shot.image.message), 'ns'))
        self._count += 1
        if camera is not None:
            stream.log('camera', rerun.Pinhole(
                focal_length=(camera.fx, camera.fy), principal_point=(camera.cx, camera.cy),
                width=width, height=height))
        _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR),
                               (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        stream.log('camera/image', rerun.EncodedImage(
            contents=jpeg.tobytes(), media_type='image/jpeg'))
        known = np.where(np.isfinite(frame.depth), frame.depth, np.float32(0))
        stream.log('camera/depth', rerun.DepthImage(
            known, meter=1.0, colormap='turbo', depth_range=(0.0, self._far)))

    def close(self) -> None:
        """Let go of it, once it has everything; a viewer stays open."""
        self._stream.flush()
        self._stream.disconnect()
