"""The node's process from its start to its end: what it says, and the code it leaves with."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn

from .node import GRACE, DepthEstimationNode


def run(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is told to stop, then end the process."""
    node: DepthEstimationNode | None = None
    code = 0
    try:
        node = _start(args)
        code = 1 if node is None else _serve(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    _leave(node, code)


def _start(args: list[str] | None) -> DepthEstimationNode | None:
    """Return the node, or say in one line why it cannot start."""
    try:
        _init(args)
        return DepthEstimationNode()
    except (ParameterException, ValueError) as error:
        print(f'depth_estimation: cannot start: {error}', file=sys.stderr)
        return None


def _init(args: list[str] | None) -> None:
    try:
        rclpy.init(args=args)
    except RuntimeError as error:  # rclpy's RCLError, which it does not export
        raise ValueError(str(error).splitlines()[0]) from error


def _serve(node: DepthEstimationNode) -> int:
    """Bring the node up if it starts by itself, then let it work; return an exit code."""
    if node.get_parameter('autostart').value:
        if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return 1
        node.trigger_activate()
    executor = _executor()
    executor.add_node(node)
    while node.lost is None:
        executor.spin_once()
    node.get_logger().fatal(f'{node.lost}: ending, so that a supervisor starts a new process')
    return 1


def _executor() -> SingleThreadedExecutor:
    """Make an executor; half made by an interrupt it would complain at the end."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        return SingleThreadedExecutor()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _leave(node: DepthEstimationNode | None, code: int) -> NoReturn:
    """Leave the graph and end, without the second or more that Python takes to unwind torch."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if node is not None and node.rest(GRACE):
        node.destroy_node()
        rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
