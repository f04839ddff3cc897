# SPDX-License-Identifier: Apache-2.0
"""Processes that the benchmark starts, and ends again whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ...resources import share_folder

GRACE = 10.0
"""Seconds that a process has to end when it is told to."""


def ros_environment() -> dict[str, str]:
    """Return what the processes of one ROS measurement share: domain, range, Fast DDS profile."""
    profiles = str(share_folder() / 'config' / 'fastdds.xml')
    return {
        'ROS_DOMAIN_ID': str(1 + os.getpid() % 100), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'FASTRTPS_DEFAULT_PROFILES_FILE': profiles, 'FASTDDS_DEFAULT_PROFILES_FILE': profiles,
    }


def start_module(module: str, *args: str) -> subprocess.Popen[str]:
    """Start a module of this package under this Python, its output to be read."""
    return subprocess.Popen([sys.executable, '-m', module, *args], stdout=subprocess.PIPE,
                            text=True, start_new_session=True)


def end(process: subprocess.Popen[str]) -> int:
    """Interrupt a process and return its exit code; kill it when it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Return the processor time that a process has used so far, in user and system mode."""
    fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
