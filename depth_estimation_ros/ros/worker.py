# SPDX-License-Identifier: Apache-2.0
"""The thread that takes waiting frames through the pipeline."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import partial
from threading import Thread

from ..core.errors import DeviceLostError
from .frame_statistics import DEACTIVATED, FAILED, REPLACED
from .mailbox import Frame, Mailboxes
from .pipeline import Pipeline

LOGGER = logging.getLogger(__name__)


class Worker:
    """
    Takes the newest frames of all cameras, runs them as one batch, publishes each.

    On a GPU the next batch is in the network while the last one is published.
    """

    def __init__(self, pipeline: Pipeline, *, fail: Callable[[DeviceLostError], None]) -> None:
        """
        Start the thread.

        :param pipeline: the thread's own from now on.
        :param fail: called when the device is lost, after which no frame is served.
        """
        self._pipeline, self._fail = pipeline, fail
        self.configure = pipeline.configure
        self._mailboxes = Mailboxes()
        self._thread = Thread(target=self._run, name='depth_worker', daemon=True)
        self._thread.start()

    def deliver(self, frame: Frame) -> None:
        """Leave a frame for the network; it replaces an older one of the same camera."""
        replaced = self._mailboxes.put(frame)
        if replaced is not None:
            replaced.camera.statistics.drop(REPLACED)

    def adopt(self) -> None:
        """Have a model that was loaded beside the one in use take over, also without a frame."""
        self._mailboxes.wake()

    def stop(self, timeout: float | None = None) -> bool:
        """
        Drop what waits, let the batch in progress finish, end the thread.

        :param timeout: seconds to wait for the batch in progress.
        :return: whether the thread has ended.
        """
        for frame in self._mailboxes.close():
            frame.camera.statistics.drop(DEACTIVATED)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        waiting = partial(self._take, wait=False)
        known: set[str] = set()
        while (frames := self._take()) is not None:
            try:
                self._pipeline.serve(frames, waiting)
            except DeviceLostError as error:
                for frame in self._pipeline.in_progress:
                    frame.camera.statistics.drop(FAILED, str(error))
                self._fail(error)
                return
            except Exception as error:  # the thread's boundary: it must outlive any one batch
                place = repr(traceback.extract_tb(error.__traceback__)[-1])
                if place not in known:  # which is worth a page of log once
                    known.add(place)
                    LOGGER.exception('a batch of %d frames was lost', len(frames))
                for frame in self._pipeline.in_progress:
                    self._pipeline.drop(frame, FAILED, f'unforeseen: {error!r}')

    def _take(self, *, wait: bool = True) -> list[Frame] | None:
        return self._mailboxes.take(self._pipeline.max_batch, wait=wait)
