# SPDX-License-Identifier: Apache-2.0
"""Kill process_bag at random moments, let it run again, and compare with an undisturbed run.

A process of its own, which forks a child a run: nothing is imported twice, and no thread of
torch's is running when it forks.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from tqdm import tqdm

from depth_estimation_ros.offline.added import ProcessOptions
from depth_estimation_ros.offline.network import NetworkOptions
from depth_estimation_ros.offline.process import process_bag


def start(source: str, output: Path, model: str) -> int:
    """Begin a run in a child; return its id."""
    child = os.fork()
    if not child:
        code = 1
        try:
            process_bag(source, output, ProcessOptions(part=0.2, preview=True),
                        NetworkOptions(model=model, device='cpu', backend='torch'),
                        progress=tqdm(disable=True))
            code = 0
        finally:
            os._exit(code)
    return child


def end(child: int) -> int:
    """Wait for a child; return its code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


SOONER = 0.9
"""What the next moments are of the last ones where a run had ended before it was killed."""


def main(source: str, folder: Path, model: str, kills: int, seed: int) -> None:
    """Print how many of the killed runs had finished parts to go on from."""
    chance, output = random.Random(seed), folder / 'out'
    began = time.monotonic()
    assert end(start(source, output, model)) == 0
    seconds, expected = time.monotonic() - began, content(output)
    shutil.rmtree(output)
    killed = resumed = 0
    while killed < kills:
        for _ in range(chance.randint(1, 3)):
            child = start(source, output, model)
            time.sleep(chance.uniform(0.1, 1.1) * seconds)
            os.kill(child, signal.SIGKILL)
            if not (code := end(child)):
                seconds *= SOONER
                break
            assert code == -signal.SIGKILL, f'after {killed} kills'
            killed += 1
            resumed += any((folder / '.out.partial' / 'notes').glob('*.json'))
            assert not output.exists() or content(output) == expected
        if not output.exists() or (folder / '.out.partial').exists():
            assert end(start(source, output, model)) == 0, f'after {killed} kills'
        assert content(output) == expected, f'after {killed} kills'
        assert [path.name for path in folder.iterdir()] == ['out']
        shutil.rmtree(output)
    print(resumed)


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
