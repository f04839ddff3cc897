# SPDX-License-Identifier: Apache-2.0
"""A bond with Nav2's lifecycle manager, which by it knows that the node is alive."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from .lifecycle import ManagedNode
from .logs import one_line

TOPIC = 'bond'
PERIOD = 0.1
"""Seconds between heartbeats, as Nav2's own nodes send them."""

NEVER = 1e9
"""Seconds: the node outlives its manager, so a silent one breaks nothing here."""


class Bond:
    """Nav2's side counts the heartbeats of an active node; bondpy's thread sends them."""

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._bond: Any = None
        self._made: set[Any] = set()

    def start(self) -> None:
        """Start to send heartbeats, where bondpy is installed."""
        if find_spec('bondpy') is None:
            return
        before = self._node.entities()
        try:
            from bondpy.bondpy import Bond as Heartbeat
            self._bond = Heartbeat(self._node, TOPIC, self._node.get_name())
            self._bond.heartbeat_period = PERIOD
            self._bond.heartbeat_timeout = NEVER
            self._bond.start()
        except Exception as error:  # another's code, which depth does not need
            self._node.get_logger().warning(f'no bond with a lifecycle manager: set its '
                                            f'bond_timeout to 0.0: {one_line(error)}')
        finally:
            self._made = self._node.entities() - before

    def end(self) -> None:
        """
        Tell the manager that the heartbeats end by intention.

        bondpy destroys its topics without the node, which would go on waiting for their events:
        from then on every turn of the executor fails and no callback is called.
        """
        bond, self._bond = self._bond, None
        if bond is not None:
            with suppress(Exception):
                bond.shutdown()
        made, self._made = self._made, set()
        self._node.remove(made)
