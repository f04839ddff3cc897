# SPDX-License-Identifier: Apache-2.0
"""What became of the frames of each camera, in the words of the node's frame statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..ros.frame_statistics import UNDECODABLE
from .frames import Frame


@dataclass
class Account:
    """One camera's counts; they add up: received is published and dropped."""

    received: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)
    """For each reason why the last frame was dropped for it."""

    def count(self, frame: Frame) -> None:
        """Count a frame that went through the network, or did not."""
        if frame.depth is None:
            self.drop(frame.reason, frame.explanation)
        else:
            self.received += 1
            self.published += 1

    def broken(self, explanation: str) -> None:
        """Count a message whose bytes are no image."""
        self.drop(UNDECODABLE, explanation)

    def drop(self, reason: str, explanation: str) -> None:
        """Count a frame without depth."""
        self.received += 1
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.explanations[reason] = explanation

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of another one, as :meth:`as_json` gives them."""
        self.received += other['received']
        self.published += other['published']
        for reason, count in other['dropped'].items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.explanations.update(other['explanations'])

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        dropped = ''.join(f', {count} {reason} ({self.explanations[reason]})'
                          for reason, count in sorted(self.dropped.items()))
        return f'{self.received} frames, {self.published} with depth{dropped}'


def without_depth(accounts: Mapping[str, Account]) -> str:
    """Say what became of the frames where none of them has depth; else ''."""
    if any(account.published for account in accounts.values()):
        return ''
    return 'no image has depth: ' + '; '.join(
        f'{topic}: {account}' for topic, account in accounts.items())
