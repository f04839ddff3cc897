# SPDX-License-Identifier: Apache-2.0
"""The boundary of all transitions: what a callback raises is named, answered, survived."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import String

from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.ros.lifecycle import ManagedNode, service_of

SUCCESS = TransitionCallbackReturn.SUCCESS
UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = (
    State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE,
    State.PRIMARY_STATE_FINALIZED)
WAY = {UNCONFIGURED: [], INACTIVE: [Transition.TRANSITION_CONFIGURE],
       ACTIVE: [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE]}


class Scripted(ManagedNode):
    """Raises in the callbacks that it is told to, and makes a publisher in each."""

    def __init__(self, faults: dict[str, Exception]) -> None:
        super().__init__('scripted')
        self.faults = faults

    def _do(self, name: str) -> TransitionCallbackReturn:
        self.create_lifecycle_publisher(String, f'made_by_{name}', 1)
        if name in self.faults:
            raise self.faults[name]
        return SUCCESS

    async def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return self._do('configure')

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        return self._do('activate')

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        return self._do('deactivate')

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        return self._do('cleanup')

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        return self._do('shutdown')

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        self.remove_made()
        return SUCCESS


class Driver:
    """A scripted node and the executor that runs it."""

    def __init__(self, faults: dict[str, Exception]) -> None:
        self.node = Scripted(faults)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def wait(self, work: Callable[..., Any], *arguments: Any) -> Any:
        task = self.executor.create_task(work, *arguments)
        self.executor.spin_until_future_complete(task, 10.0)
        assert task.done()
        return task.result()

    def change(self, *transitions: int) -> bool:
        return all(self.wait(self.node.change_state, each) for each in transitions)

    def ask(self, **asked: Any) -> bool:
        answer = service_of(self.node, ChangeState).callback
        request = ChangeState.Request(transition=Transition(**asked))
        return bool(self.wait(answer, request, ChangeState.Response()).success)

    @property
    def state(self) -> int:
        return int(self.node._state_machine.current_state[0])


@pytest.fixture
def driver() -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(**faults: Exception) -> Driver:
        made.append(Driver(faults))
        return made[-1]

    yield make
    for each in made:
        each.executor.shutdown()
        each.node.destroy_node()


@pytest.mark.parametrize(('name', 'before', 'transition', 'work'), [
    ('configure', UNCONFIGURED, Transition.TRANSITION_CONFIGURE, 'configure'),
    ('activate', INACTIVE, Transition.TRANSITION_ACTIVATE, 'activate'),
    ('deactivate', ACTIVE, Transition.TRANSITION_DEACTIVATE, 'deactivate'),
    ('cleanup', INACTIVE, Transition.TRANSITION_CLEANUP, 'clean up'),
    ('shutdown', ACTIVE, Transition.TRANSITION_ACTIVE_SHUTDOWN, 'shut down')])
def test_whatever_a_callback_raises_is_named_in_one_line_and_the_node_starts_anew(
        driver, capfd, name, before, transition, work):
    made = driver(**{name: RuntimeError('CUDA error: device-side assert\nCompile with …')})
    assert made.change(*WAY[before])
    assert not made.change(transition)
    assert made.state == UNCONFIGURED
    errors = [line for line in capfd.readouterr().err.splitlines() if 'ERROR' in line]
    assert len(errors) == 1
    assert f'cannot {work}: RuntimeError: CUDA error: device-side assert Compile' in errors[0]
    assert not [each for each in made.node.publishers if 'made_by' in each.topic_name]
    made.node.faults.clear()
    assert made.change(*WAY[ACTIVE]) and made.state == ACTIVE


def test_what_the_core_refuses_is_no_error_of_the_node(driver, capfd):
    made = driver(configure=CheckpointError("model '/x': no such folder"))
    assert not made.change(Transition.TRANSITION_CONFIGURE)
    assert made.state == UNCONFIGURED
    assert "cannot configure: model '/x': no such folder" in capfd.readouterr().err


def test_bringing_up_says_whether_both_transitions_succeeded(driver):
    made = driver()
    assert made.wait(made.node.bring_up) and made.state == ACTIVE
    made = driver(activate=RuntimeError('no'))
    assert not made.wait(made.node.bring_up)


@pytest.mark.parametrize(('state', 'possible'), [
    (UNCONFIGURED, {1: 'configure', 5: 'shutdown'}),
    (INACTIVE, {2: 'cleanup', 3: 'activate', 6: 'shutdown'}),
    (ACTIVE, {4: 'deactivate', 7: 'shutdown'})])
def test_what_is_not_possible_is_answered_and_changes_nothing(driver, capfd, state, possible):
    made = driver()
    made.change(*WAY[state])
    for number in set(range(256)) - set(possible):
        assert not made.ask(id=number)
        assert made.state == state
    for label in ({'configure', 'cleanup', 'activate', 'deactivate', 'transition_success',
                   'destroy', 'nonsense'} - set(possible.values())):
        assert not made.ask(label=label, id=next(iter(possible)))
        assert made.state == state
    text = capfd.readouterr().err
    assert f'possible: {", ".join(sorted(possible.values()))}' in text


def test_a_label_goes_before_an_id_and_an_id_does_without(driver):
    made = driver()
    assert made.ask(label='configure', id=99)
    assert made.ask(id=Transition.TRANSITION_ACTIVATE)
    assert made.ask(label='shutdown')
    assert made.state == FINALIZED
    assert not any(made.ask(id=number) for number in range(256))


def test_work_beside_leaves_the_executor_free_and_hands_back_what_it_raises(driver):
    made, gate, ticks = driver(), threading.Event(), []

    def tick():
        ticks.append(0)
        if len(ticks) == 3:
            gate.set()

    made.node.create_timer(0.01, tick)
    assert made.wait(made.node.beside, lambda: gate.wait(10.0))
    with pytest.raises(ZeroDivisionError):
        made.wait(made.node.beside, lambda: 1 // 0)


def test_the_clocks_subscription_is_no_transitions_to_remove(driver):
    from rclpy.parameter import Parameter
    made = driver()
    made.node.set_parameters([Parameter('use_sim_time', value=True)])
    made.node.remove_made()
    assert [each.topic_name for each in made.node.subscriptions] == ['/clock']
