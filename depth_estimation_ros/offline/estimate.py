# SPDX-License-Identifier: Apache-2.0
"""Pictures, videos and bags into files of depth, a frame at a time, whole or not at all."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.colour import Colouriser
from ..core.pinhole import Pinhole
from ..recordings import Camera, RecordingError, Shot, find_cameras, shots
from ..recordings.pictures import Pictures
from ..ros.camera_info import calibration_of, lens_of
from .account import Account
from .cloud import CLOUDS, pinhole_of_view
from .files import write_whole
from .formats import FORMATS, encode_picture, require
from .frames import Decoders, Frame, Pipeline
from .inputs import check_places, files_read, names_of, opened
from .job import FRAMES, PREVIEW, VIDEO, begin_job, signatures
from .network import Depth, Network, NetworkOptions, Pixels
from .video import VideoWriter, rate_of
from .view import View

UNCALIBRATED = 'a point cloud needs a calibration of its image, or the angle of view, --fov'


@dataclass(frozen=True)
class EstimateOptions:
    """Which files are made."""

    formats: tuple[str, ...] = ('png',)
    """Names in :data:`FORMATS`."""
    preview: bool = False
    preview_far: float = 10.0
    """Metres of the last colour."""
    cloud: str = ''
    """A name in :data:`CLOUDS`, or none."""
    video: bool = False
    rate: float = 0.0
    """Frames a second of the video; 0 takes the recording's."""
    image: str = ''
    """The image topic of a bag; '' takes the first."""
    fov: float = 0.0
    """Degrees from the left to the right side of an image without a calibration."""
    overwrite: bool = False
    """Make every file anew."""
    view: bool = False
    """Show every frame in Rerun's viewer."""
    view_file: Path | None = None
    """Write what would be shown there into an .rrd file."""

    @property
    def kinds(self) -> list[str]:
        """Of the files that are made."""
        return [*self.formats, *[PREVIEW] * self.preview, *filter(None, [self.cloud]),
                *[VIDEO] * self.video]


def estimate(inputs: Sequence[str], output: Path, options: EstimateOptions,
             network: NetworkOptions, *, progress: tqdm,
             ) -> tuple[dict[str, Account], list[str]]:
    """
    Write the depth of each image of the inputs; files that are there whole are not made again.

    :param inputs: recordings of any kind; several pictures count as one.
    :param output: a folder; each of several inputs gets one of its own below it.
    :param progress: the bar to move.
    :return: the account of each input, and what was strange in them.
    :raises RecordingError: when an input or the output is at fault.
    :raises DepthError: when the network is.
    """
    require(options.formats)
    sources_of = list(opened(inputs, output))
    cameras = [find_cameras(recording, options.image)[0] for recording, _ in sources_of]
    if options.cloud and not options.fov and not any(camera.info for camera in cameras):
        raise RecordingError(f'{", ".join(inputs)}: {UNCALIBRATED}')
    files = files_read(recording for recording, _ in sources_of)
    check_places(files, (folder / kind for _, folder in sources_of for kind in options.kinds))
    since = begin_job(
        output, {'inputs': sorted({str(Path(path).resolve()) for path in inputs}),
                 'image': options.image, 'fov': options.fov, 'preview_far': options.preview_far,
                 **asdict(network), 'files': signatures(files)},
        options.kinds, overwrite=options.overwrite)
    sources = [Source(recording, Camera(camera.image, camera.info), folder, options, since)
               for (recording, folder), camera in zip(sources_of, cameras, strict=True)]
    accounts: dict[str, Account] = {}
    warnings: list[str] = []
    with ExitStack() as stack:
        pipeline = _Later(network, stack)
        view = stack.enter_context(closing(View(options.view_file, options.preview_far))) if (
            options.view or options.view_file) else None
        progress.reset(total=_total(sources))
        for source in sources:
            accounts[source.recording.name] = source.run(pipeline, progress, view)
            warnings += source.recording.warnings
    write_whole(output / FRAMES, json.dumps({
        name: account.as_json() for name, account in accounts.items()}, indent=1).encode())
    if not any(account.received - sum(account.dropped.values()) for account in accounts.values()):
        raise RecordingError('no image has depth: ' + '; '.join(
            f'{name}: {account}' for name, account in accounts.items()))
    return accounts, [*warnings, *_without_cloud(sources)]


def _without_cloud(sources: Sequence[Source]) -> list[str]:
    """Name the inputs that lack clouds; raise RecordingError where no frame at all has one."""
    lacking = [f'{source.recording.name}: {source.clouds[False]} of {source.clouds.total()} '
               f'frames have no calibration: {UNCALIBRATED}'
               for source in sources if source.clouds[False]]
    if lacking and not any(source.clouds[True] for source in sources):
        raise RecordingError('; '.join(lacking))
    return lacking


def _total(sources: Sequence[Source]) -> int | None:
    """Return how many images there are, where each input says so."""
    counts = [source.count for source in sources if source.count is not None]
    return sum(counts) if len(counts) == len(sources) else None


class _Later:
    """Loads the network when the first image needs it: a finished job needs none."""

    def __init__(self, options: NetworkOptions, stack: ExitStack) -> None:
        self._options, self._stack = options, stack
        self._pipeline: Pipeline | None = None

    def __call__(self) -> Pipeline:
        if self._pipeline is None:
            network = Network(self._options)
            self._stack.callback(network.close)
            self._pipeline = Pipeline(network)
            self._stack.callback(self._pipeline.close)
        return self._pipeline


class Source:
    """One input on its way into one folder."""

    def __init__(self, recording: Any, camera: Camera, folder: Path, options: EstimateOptions,
                 since: int) -> None:
        """Take what is in the folder as made if it was written since then, ns."""
        self.recording, self._camera, self._since = recording, camera, since
        self._folder, self._options = folder, options
        self._colourise = Colouriser('turbo', 0.0, options.preview_far)
        self._account, self._decoders = Account(), Decoders()
        self.clouds: Counter[bool] = Counter()
        """Frames whose lens is known, which have a cloud, and others, where one is wanted."""
        self._names = names_of(recording.files) if isinstance(recording, Pictures) else []

    @property
    def count(self) -> int | None:
        """How many images there should be, where the recording says so."""
        counted: int | None = self.recording.channels[self._camera.image].count
        return counted

    def run(self, pipeline: Callable[[], Pipeline], progress: tqdm,
            view: View | None = None) -> Account:
        """Write what is missing; return what became of the frames, those before included."""
        with closing(self._decoders):
            return self._run(pipeline, progress, view)

    def _run(self, pipeline: Callable[[], Pipeline], progress: tqdm, view: View | None) -> Account:
        video = self._video() if self._options.video else None
        missing = self._missing(progress, all_of_them=bool(video or view))
        first, names = next(missing, None), deque[str]()
        if first is None:
            return self._account

        def wanted() -> Iterator[Shot]:
            for name, shot in chain([first], missing):
                names.append(name)
                yield shot

        with ExitStack() as stack:
            writer = stack.enter_context(video) if video is not None else None
            for frame in pipeline().frames(wanted(), self._decoders):
                self._write(names.popleft(), frame, writer)
                if view is not None and frame.depth is not None:
                    view.show(frame, self._known_pinhole(frame, frame.depth))
                self._account.count(frame)
                progress.update()
        return self._account

    def _video(self) -> VideoWriter | None:
        path = self._folder / VIDEO
        if self._made(path):
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        return VideoWriter(path, self._options.rate or rate_of(self.recording, self._camera.image))

    def _missing(self, progress: tqdm, *,
                 all_of_them: bool) -> Iterator[tuple[str, Shot]]:
        """Yield the frames of which not every file is there, each with its name."""
        stream = shots(self.recording, self._camera,
                       lambda record, reason: self._account.broken(reason))
        for number, shot in enumerate(stream):
            name = self._name(number, shot)
            has_lens = bool(self._options.fov) or _is_calibrated(shot.info)
            files = self._files(name, has_lens).values()
            if not all_of_them and files and all(map(self._made, files)):
                self._count_cloud(has_lens)
                self._account.received += 1
                self._account.published += 1
                self._decoders.learn(shot)  # or a run that goes on would take others otherwise
                progress.update()
            else:
                yield name, shot

    def _made(self, path: Path) -> bool:
        """Whether a file is whole and of this job: older than its note are an earlier one's."""
        if not path.is_file():
            return False
        found = path.stat()
        return found.st_size > 0 and found.st_mtime_ns >= self._since

    def _name(self, number: int, shot: Shot) -> str:
        """Return a picture's own name, or a number."""
        if self._names:
            return self._names[Pictures.number(shot.image)]
        return f'{number:06d}'

    def _count_cloud(self, has_lens: bool) -> None:
        self.clouds[has_lens] += bool(self._options.cloud)

    def _files(self, name: str, has_lens: bool) -> dict[str, Path]:
        options = self._options
        suffixes = {kind: FORMATS[kind][0] for kind in options.formats}
        suffixes |= {PREVIEW: '.png'} if options.preview else {}
        suffixes |= {options.cloud: f'.{options.cloud}'} if options.cloud and has_lens else {}
        return {kind: self._folder / kind / f'{name}{suffix}' for kind, suffix in suffixes.items()}

    def _write(self, name: str, frame: Frame, video: VideoWriter | None) -> None:
        if frame.depth is None or frame.pixels is None:
            return
        lens = self._known_pinhole(frame, frame.depth)
        self._count_cloud(lens is not None)
        for kind, path in self._files(name, lens is not None).items():
            # the disk would wait for every frame; one that a power failure spoils is empty
            write_whole(path, self._bytes(kind, frame.depth, frame.pixels, lens), lasting=False)
        if video is not None:
            image = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
            video.write(np.hstack([image, self._colourise(frame.depth)]))

    def _bytes(self, kind: str, depth: Depth, pixels: Pixels, lens: Pinhole | None) -> bytes:
        if kind == PREVIEW:
            return encode_picture('.png', self._colourise(depth))
        if kind in CLOUDS and lens is not None:
            return CLOUDS[kind](depth, pixels, lens)
        return FORMATS[kind][1](depth)

    def _known_pinhole(self, frame: Frame, depth: Depth) -> Pinhole | None:
        size, info = (depth.shape[1], depth.shape[0]), frame.shot.info
        if self._options.fov:
            return pinhole_of_view(self._options.fov, size)
        return None if info is None else lens_of(info.message, *size)


def _is_calibrated(info: Any) -> bool:
    """Say whether a camera_info gives a lens, which a driver without a calibration leaves zero."""
    if info is None:
        return False
    calibration = calibration_of(info.message)
    return calibration.pinhole_of(calibration.image_size) is not None
