# SPDX-License-Identifier: Apache-2.0
"""Giving back what a transition has made, whatever state that is in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from depth_estimation_ros.core.errors import ImageError
from depth_estimation_ros.ros.node import DepthEstimationNode, SupersededError


class Recorded:
    """Stands in for a camera, an estimator or a worker; raises where it is told to."""

    def __init__(self, *faulty: str) -> None:
        self.faulty = faulty
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> bool:
            self.called.append(name)
            if name in self.faulty:
                raise RuntimeError(f'{name} is broken')
            return True
        return call


@pytest.fixture
def node() -> Iterator[DepthEstimationNode]:
    made = DepthEstimationNode()
    yield made
    made.destroy_node()


def test_one_part_that_cannot_be_released_keeps_no_other_from_it(
        node: DepthEstimationNode, capfd: pytest.CaptureFixture) -> None:
    parts: list[Any] = [Recorded('close'), Recorded(), Recorded(), Recorded('stop')]
    first, second, estimator, worker = parts
    node._cameras, node._estimator, node._worker = [first, second], estimator, worker
    node.create_publisher(String, 'half', 1)
    node.release()
    assert first.called == second.called == ['close']
    assert worker.called == ['stop']
    assert 'half' not in [each.topic_name.strip('/') for each in node.publishers]
    errors = [line for line in capfd.readouterr().err.splitlines() if 'ERROR' in line]
    assert len(errors) == 1 and 'not all could be released' in errors[0]


def test_a_configure_that_fails_half_way_leaves_nothing(
        node: DepthEstimationNode, capfd: pytest.CaptureFixture) -> None:
    estimator: Any = Recorded()

    async def half(state: Any) -> Any:
        node._estimator = estimator
        node.create_publisher(String, 'half', 1)
        raise ImageError('reference_focal is of another shape')

    node.on_configure = half  # type: ignore[method-assign]
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for _ in range(2):  # and it can be tried again
        task = executor.create_task(node.change_state, Transition.TRANSITION_CONFIGURE)
        executor.spin_until_future_complete(task, 10.0)
        assert task.result() is False and node._estimator is None
        assert 'half' not in [each.topic_name.strip('/') for each in node.publishers]
    assert estimator.called == ['close'] * 2
    assert 'cannot configure: reference_focal' in capfd.readouterr().err


def test_the_model_is_freed_once_the_worker_has_ended(node: DepthEstimationNode) -> None:
    parts: list[Any] = [Recorded('close'), Recorded(), Recorded()]
    camera, estimator, worker = parts
    node._cameras, node._estimator, node._worker = [camera], estimator, worker
    node.release()
    assert worker.called == ['stop'] and estimator.called == ['close']


def test_a_model_that_is_not_wanted_any_more_is_refused(node: DepthEstimationNode) -> None:
    node._accept(node._wanted, (0.001, 80.0))
    with pytest.raises(SupersededError):
        node._accept(replace(node._wanted, height=64), (0.001, 80.0))
    with pytest.raises(ValueError, match='beyond the model'):
        node._accept(node._wanted, (0.001, 0.05))


def test_releasing_twice_or_nothing_is_no_error(node: DepthEstimationNode, capfd) -> None:
    node.release()
    node.release()
    assert 'ERROR' not in capfd.readouterr().err
