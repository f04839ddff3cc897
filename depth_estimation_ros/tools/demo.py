# SPDX-License-Identifier: Apache-2.0
"""The main job end to end: a camera process, the node as its own process, a recorder, a report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

import rclpy
from tqdm import tqdm

from ..core.mount import Mount
from ..offline.command import stats
from ..recordings import Camera, RecordingError, find_cameras, open_recording
from ..report import write_report
from ..resources import share_folder
from .demo_report import print_report, report
from .recorder import OUTPUTS, Recorder

CAMERA = 'depth_estimation_ros.tools.camera'
NODE = 'depth_estimation_ros.ros.main'

WRITTEN = ('bag', 'preview.png', 'report.json', 'report.html')
"""What a demo leaves in its folder."""

STARTUP = 120.0
"""Seconds in which the node must load its model and subscribe."""

LINGER = 1.5
"""Seconds after the last image in which its depth may still come, and the last diagnostics."""

SUBSCRIBERS = 2
"""Of the camera's image: the node and the recorder. The camera starts when both are there."""

LIGHT = {'points.stride': 4, 'compressed_depth.png_level': 1}
"""What leaves two cores to the network: points as in config/navigation.yaml, a quicker PNG."""

DRIVE = Mount(1.2, -0.19)
"""How the camera stands in the drive through the rendered room (training/clip.py)."""


class DemoError(RuntimeError):
    """The demo could not be run; the text says which process failed."""


def run(source: str, output: Path, *, model: str, rate: float, playing: list[str],
        total: int | None = None, mount: Mount | None = None,
        silent: dict[str, str] | None = None) -> dict[str, Any]:
    """
    Run the three processes and write ``output``: the bag, preview.png and both reports.

    :param source: a recording of any kind.
    :param output: the folder to write; what an earlier demo left in it is removed.
    :param model: the node's parameter ``model``.
    :param rate: frames a second of the camera.
    :param playing: more options of the camera.
    :param total: how many images it will publish, where that is known.
    :param mount: how it stands over the floor, where that is known.
    :param silent: the outputs that cannot be had of it, with the reason.
    :return: the report.
    :raises DemoError: when the node or the camera ends early or never starts, or the folder
        holds something else or cannot be written.
    """
    _clear(output)
    rclpy.init()
    silent = silent or {}
    recorder = Recorder(output / 'bag', mount=mount, without=silent)
    processes = [node := _start(NODE, '--ros-args', *_parameters(model, mount))]
    try:
        _await(recorder, node)
        processes.append(camera := _start(
            CAMERA, source, '--rate', str(rate), *playing,
            '--subscribers', str(SUBSCRIBERS), '--wait', str(STARTUP)))
        published = _follow(recorder, node, camera, total)
    finally:
        exit_code, *_ = [_stop(process) for process in processes]
        recorder.close()
        rclpy.try_shutdown()
    from .demo_picture import preview_picture  # after the run: torch takes seconds to import
    result = {**report(recorder.received, published, published / rate,
                       {topic: silent.get(topic, '') for topic in OUTPUTS}),
              'node_exit_code': exit_code}
    (output / 'report.json').write_text(json.dumps(result, indent=2) + '\n')
    preview_picture(recorder.received, output / 'preview.png', mount)
    write_report(output)
    return result


def _parameters(model: str, mount: Mount | None) -> list[str]:
    """Return the node's arguments: its model, what makes outputs light, and a scan's floor."""
    values: dict[str, Any] = {'model': model, **LIGHT}
    if mount is not None:
        values |= {'scan.camera_height': float(mount.height), 'scan.pitch': float(mount.pitch),
                   'scan.roll': float(mount.roll)}
    return [text for name, value in values.items() for text in ('-p', f'{name}:={value}')]


def _clear(output: Path) -> None:
    """Make the folder, without an earlier demo's files; never remove anyone else's."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        if foreign := sorted(path.name for path in output.iterdir() if path.name not in WRITTEN):
            raise DemoError(f'{output} holds {foreign[0]}, which no demo made: name another '
                            '--output')
        for name in WRITTEN:
            path = output / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DemoError(f'{output} cannot be written: {error.strerror or error}') from error


def _start(module: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, '-m', module, *args], stdout=subprocess.PIPE,
                            text=True, start_new_session=True)


def _await(recorder: Recorder, node: subprocess.Popen[str]) -> None:
    """Wait until the node has loaded its model and built the fastest network for it."""
    print('The node loads its model and builds the fastest network for this machine.')
    end = time.monotonic() + STARTUP
    while recorder.received.of('model').get('building') != 'false':
        _check(node)
        if time.monotonic() > end:
            raise DemoError(f'the node was not ready within {STARTUP:.0f} s: its log says why')
        rclpy.spin_once(recorder, timeout_sec=0.1)


def _check(node: subprocess.Popen[str]) -> None:
    if node.poll() is not None:
        raise DemoError(f'the node ended with code {node.returncode}: its log says why')


def _follow(recorder: Recorder, node: subprocess.Popen[str], camera: subprocess.Popen[str],
            total: int | None) -> int:
    """Record until the camera is through; return how many images it published."""
    depths = recorder.received.latency_ms
    with tqdm(total=total, unit='frame', desc='depth') as progress:
        while camera.poll() is None:
            _check(node)
            rclpy.spin_once(recorder, timeout_sec=0.1)
            if not depths:
                progress.unpause()  # its clock begins with the first frame, not with the camera's
            if len(depths) > progress.n:
                progress.update(len(depths) - progress.n)
        end = time.monotonic() + LINGER
        while time.monotonic() < end:
            rclpy.spin_once(recorder, timeout_sec=0.05)
        progress.update(len(depths) - progress.n)
    if camera.returncode or camera.stdout is None:
        raise DemoError(f'the camera ended with code {camera.returncode}')
    return int(json.loads(camera.stdout.read())['frames'])


def _stop(process: subprocess.Popen[str]) -> int:
    """Interrupt a process and return its exit code; kill it when it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def main() -> int:
    """Run from the command line and print the report as a table."""
    options = _parser().parse_args()
    source = options.input or str(share_folder() / 'clips' / 'demo_room')
    least = round(options.rate * options.seconds)
    try:
        recording = open_recording(source)
        camera = find_cameras(recording, options.topic)[0]
        mount = _mount(options)
        with stats(options.stats, lambda: result['frames_out']):
            result = run(source, options.output, model=options.model, rate=options.rate,
                         playing=['--topic', camera.image, '--frames', str(options.frames),
                                  '--least', str(least)],
                         total=options.frames or _rounded(
                             recording.channels[camera.image].count, least),
                         mount=mount, silent=_silent(camera, mount))
    except (RecordingError, DemoError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    print_report(result)
    print(f'Written: {", ".join(str(path) for path in sorted(options.output.iterdir()))}')
    return 0 if result['frames_out'] else 1


def _mount(options: argparse.Namespace) -> Mount | None:
    """Return how the camera stands, where its height is given or it is the drive's."""
    if options.camera_height:
        return Mount(options.camera_height, options.pitch, options.roll)
    return None if options.input else DRIVE


def _silent(camera: Camera, mount: Mount | None) -> dict[str, str]:
    """Return the outputs that cannot be had of a camera, with the reason."""
    if camera.info is None:
        return dict.fromkeys(('depth/camera_info', 'depth/points', 'depth/scan'),
                             'the input has no camera_info')
    return {} if mount else {'depth/scan': 'give --camera-height, and --pitch'}


def _rounded(count: int | None, least: int) -> int | None:
    """Return how many images whole rounds of a source make, where it says how many it has."""
    return count * max(1, -(-least // count)) if count else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='demo', description=__doc__)
    parser.add_argument('--input', help='rosbag2 directory, .mcap, .db3 or .bag file, folder or '
                        'glob of pictures, or video; without it the drive through a rendered room')
    parser.add_argument('--topic', default='', help="the input's image topic; without it the "
                        'first rectified or colour one')
    parser.add_argument('--output', type=Path, default=Path('demo_output'))
    parser.add_argument('--model', default='demo', help='hub id, folder, or demo (the default)')
    parser.add_argument('--rate', type=float, default=15.0, help='frames a second')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='play the input again for so long')
    parser.add_argument('--frames', type=int, default=0, help='exactly so many')
    parser.add_argument('--stats', action='store_true', help='print time and peak memory')
    parser.add_argument('--camera-height', type=float, help='metres of the camera above the '
                        'floor, for depth/scan; without --input those of the drive')
    parser.add_argument('--pitch', type=float, default=0.0, help='radians of its optical axis '
                        'above the horizontal; negative looks down')
    parser.add_argument('--roll', type=float, default=0.0, help='radians about its optical axis; '
                        "positive turns the camera's right side down")
    return parser


if __name__ == '__main__':
    sys.exit(main())
