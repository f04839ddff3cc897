# SPDX-License-Identifier: Apache-2.0
"""A lifecycle node whose every transition ends in a known state and is answered, come what may."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any, TypeVar

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.service import Service
from rclpy.task import Future

from ..core.errors import DepthError
from .logs import one_line

T = TypeVar('T')

SHUTDOWNS = (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
             Transition.TRANSITION_INACTIVE_SHUTDOWN, Transition.TRANSITION_ACTIVE_SHUTDOWN)

REQUESTS = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE, *SHUTDOWNS)
"""What may be asked for; the state machine's others are the outcomes of these."""


class ManagedNode(LifecycleNode):
    """
    Drives the state machine in place of rclpy.

    rclpy swallows what a transition's callback raises and ends the process on a transition that
    is not allowed. Here both are named in one line of the log and answered. A callback may be a
    coroutine: while it awaits :meth:`beside`, the node's other services answer.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._beside = ThreadPoolExecutor(1, 'beside')
        service = service_of(self, ChangeState)
        service.callback = self._answer_change_state
        service.callback_group = MutuallyExclusiveCallbackGroup()  # a long one holds up no other
        service.callback_group.add_entity(service)
        self._own = self.entities()

    async def change_state(self, transition: int) -> bool:
        """
        Make a transition that is possible now; return whether it succeeded.

        An error on the way is logged, and leaves the node in the state that it came from or, where
        it was not foreseen, unconfigured.
        """
        before = LifecycleState(*reversed(self._state_machine.current_state))
        self._state_machine.trigger_transition_by_id(transition, True)
        state = self._state_machine.current_state[0]
        result = await self._attempt(state, before)
        failed = result == TransitionCallbackReturn.FAILURE
        if failed and state == State.TRANSITION_STATE_CONFIGURING:
            self.release()  # it goes back to unconfigured, where nothing may be left
        self._state_machine.trigger_transition_by_label(result.to_label(), True)
        if result == TransitionCallbackReturn.ERROR:
            recovered = await self._attempt(State.TRANSITION_STATE_ERRORPROCESSING, before)
            self._state_machine.trigger_transition_by_label(recovered.to_label(), True)
        return bool(result == TransitionCallbackReturn.SUCCESS)

    async def bring_up(self) -> bool:
        """Configure and activate, as a lifecycle manager would; return whether both succeeded."""
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            if not await self.change_state(transition):
                return False
        return True

    async def beside(self, work: Callable[[], T]) -> T:
        """Do slow work in a thread, one piece at a time, and return or raise what it does."""
        future = Future()

        def finish() -> None:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            self.executor.wake()

        self._beside.submit(finish)
        result: T = await future
        return result

    def release(self) -> None:
        """Give everything back that transitions have made, also what is half made."""
        self.remove_made()

    def remove_made(self) -> None:
        """Destroy what transitions have made on the node, also where they failed half way."""
        self._managed_entities.clear()
        self.remove(self.entities() - self._own)

    def remove(self, made: set[Any]) -> None:
        """Destroy publishers, subscriptions and timers, also those destroyed without the node."""
        for entity in made:
            for destroy in (self.destroy_publisher, self.destroy_subscription, self.destroy_timer):
                destroy(entity)

    def destroy_node(self) -> None:
        """Destroy the node and leave the graph at once."""
        machine = self._state_machine  # rclpy keeps it, and it keeps the node in the graph
        super().destroy_node()
        machine.destroy_when_not_in_use()

    def entities(self) -> set[Any]:
        """Return publishers, subscriptions and timers, without the clock's, which rclpy makes."""
        return {*self.publishers, *self.timers,
                *(each for each in self.subscriptions if each.topic_name != '/clock')}

    async def _attempt(self, state: int, before: LifecycleState) -> TransitionCallbackReturn:
        """Run a transition's callback; nothing that it raises goes further."""
        work, callback = self._callbacks_by_state[state]
        try:
            result: Any = callback(before)
            return await result if isawaitable(result) else result
        except DepthError as error:
            self.get_logger().error(f'cannot {work}: {one_line(error)}')
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().error(f'cannot {work}: {one_line(error)}')
            return TransitionCallbackReturn.ERROR

    @property
    def _callbacks_by_state(self) -> dict[int, tuple[str, Callable[[LifecycleState], Any]]]:
        return {State.TRANSITION_STATE_CONFIGURING: ('configure', self.on_configure),
                State.TRANSITION_STATE_ACTIVATING: ('activate', self.on_activate),
                State.TRANSITION_STATE_DEACTIVATING: ('deactivate', self.on_deactivate),
                State.TRANSITION_STATE_CLEANINGUP: ('clean up', self.on_cleanup),
                State.TRANSITION_STATE_SHUTTINGDOWN: ('shut down', self.on_shutdown),
                State.TRANSITION_STATE_ERRORPROCESSING: ('recover', self.on_error)}

    async def _answer_change_state(self, request: ChangeState.Request,
                                   response: ChangeState.Response) -> ChangeState.Response:
        possible = self._possible()
        transition = _requested(request.transition, possible)
        if transition is None:
            asked = request.transition.label or f'with id {request.transition.id}'
            self.get_logger().warning(
                f'transition {asked} is not possible while the node is '
                f'{self._state_machine.current_state[1]}; possible: '
                f'{", ".join(sorted(possible.values())) or "none"}')
        else:
            response.success = await self.change_state(transition)
        return response

    def _possible(self) -> dict[int, str]:
        """Return the id and label of each transition that may be asked for now."""
        return {transition[0]: transition[1]
                for transition in self._state_machine.available_transitions
                if transition[0] in REQUESTS}


def _requested(asked: Transition, possible: dict[int, str]) -> int | None:
    """Return the possible transition that a request means, its label before its id."""
    if asked.label:
        return next((number for number, label in possible.items() if label == asked.label), None)
    return asked.id if asked.id in possible else None


def service_of(node: LifecycleNode, kind: type) -> Service:
    """Return the node's own service of a type, which rclpy made."""
    service: Service = next(each for each in node.services if each.srv_type is kind)
    return service


