# SPDX-License-Identifier: Apache-2.0
"""A burst of changes is waited out, one without an end is not."""

from itertools import chain, count, repeat

from depth_estimation_ros.ros.settling import PATIENCE, settled


def test_what_stays_the_same_is_taken_at_once():
    assert settled(iter([5, 5]).__next__, quiet=0.0) == 5


def test_a_burst_is_waited_out():
    assert settled(chain([1, 2, 2.5, 3], repeat(4)).__next__, quiet=0.0) == 4


def test_changes_without_an_end_are_not_waited_out():
    assert settled(count().__next__, quiet=0.0) == PATIENCE
