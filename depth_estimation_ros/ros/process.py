# SPDX-License-Identifier: Apache-2.0
"""The node's process from its start to its end: what it says, and the code it leaves with."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from .arguments import unheard
from .logs import Throttle, one_line
from .node import GRACE, DepthEstimationNode
from .signals import Interrupt


def run(args: list[str] | None, interrupt: Interrupt) -> NoReturn:
    """Run the node until it is told to stop, then end the process."""
    node: DepthEstimationNode | None = None
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = DepthEstimationNode()
        for part in unheard(sys.argv if args is None else args, node.get_fully_qualified_name()):
            node.get_logger().warning(part)
        code = _serve(node, interrupt)
    except Exception as error:
        print(f'depth_estimation: cannot start: {one_line(error)}', file=sys.stderr)
        code = 1
    _leave(node, code)


def _serve(node: DepthEstimationNode, interrupt: Interrupt) -> int:
    """Bring the node up if it starts by itself, then let it work; return an exit code."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # Some work must come: spin_once that is only woken goes on waiting, before configure for ever.
    interrupt.defer(lambda: executor.create_task(lambda: None))
    throttle = Throttle(node.get_logger().error)
    start = executor.create_task(node.bring_up) if node.settings.serving.autostart else None
    while not interrupt.received:
        try:
            executor.spin_once()
        except ExternalShutdownException:
            break
        except Exception as error:  # a callback's: rclpy would end the process
            throttle.warn('a callback failed', one_line(error))
        if start is not None and start.done() and not start.result():
            return 1
        if node.lost is not None:
            node.get_logger().fatal(
                f'{node.lost}: ending, so that a supervisor starts a new process')
            return 1
    return 0


def _leave(node: DepthEstimationNode | None, code: int) -> NoReturn:
    """Leave the graph and end, without the second or more that Python takes to unwind torch."""
    try:
        if node is not None and node.idle(GRACE):
            node.destroy_node()
            rclpy.try_shutdown()
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
