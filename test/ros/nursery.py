# SPDX-License-Identifier: Apache-2.0
"""
Processes that begin with what a node takes five seconds to import: torch and transformers.

A nursery is a process that has imported them and does nothing else. For each node it forks one,
with arguments, environment, folder and files of its own. The imports are done by then, and what
Python and the linker read of the environment at a start has been read, so a test of starting, of
imports or of PYTHONPATH needs a fresh process.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphaned descendants become this process's children."""

IMPORTED = ('depth_estimation_ros.core.estimator', 'depth_estimation_ros.core.families.registry')
"""Not rclpy, whose libraries start threads, which a forked process would lack; those of OpenBLAS
begin anew by themselves."""


class Born(subprocess.Popen[bytes]):
    """A process that a nursery has forked, as a child of this one."""

    def __init__(self, pid: int, arguments: list[str]) -> None:
        self.pid, self.args, self.returncode = pid, arguments, None  # type: ignore[assignment]
        self.stdin = self.stdout = self.stderr = None
        self._child_created, self._waitpid_lock = True, threading.Lock()
        self._sigint_wait_secs = 0.25


class Nursery:
    """The other end of a nursery, which ends with this process."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        """
        Begin it.

        :param env: what its environment is, and what its imports go by.
        :param folder: where the packages that it imports lie.
        """
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), 'PR_SET_CHILD_SUBREAPER')
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, cwd=folder, env={**env, 'OMP_WAIT_POLICY': 'passive'})

    def start(self, module: str, arguments: list[str], log: Path, env: dict[str, str]) -> Born:
        """
        Start a module as ``python -m`` would.

        :param log: where its standard output and error go.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        wish = {'module': module, 'arguments': arguments, 'log': str(log), 'env': env,
                'folder': str(Path.cwd())}
        self._process.stdin.write(json.dumps(wish).encode() + b'\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.strip(), 'the nursery, or what it forked, has ended'
        return Born(int(answer), [module, *arguments])

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._process.communicate()


def _next_wish() -> dict[str, object] | None:
    """Answer each line with a new process's id; return its wish in that process."""
    while line := sys.stdin.buffer.readline():
        reading, writing = os.pipe()
        if not (between := os.fork()):
            if os.fork():
                os._exit(0)
            os.close(reading)
            os.write(writing, str(os.getpid()).encode())
            os.close(writing)
            return dict(json.loads(line))
        os.waitpid(between, 0)  # from then on the new process is the tests' child
        os.close(writing)
        os.write(1, os.read(reading, 20) + b'\n')
        os.close(reading)
    return None


def _become(wish: dict[str, object]) -> None:
    """Take on files, session, folder, environment and arguments; run the module."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # though the tests may run under nohup
    os.chdir(str(wish['folder']))
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(str(wish['log']), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for file, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(log)
    environment, arguments = wish['env'], wish['arguments']
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    runpy.run_module(str(wish['module']), run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    for name in IMPORTED:
        __import__(name)
    gc.freeze()
    if (wished := _next_wish()) is not None:
        _become(wished)
