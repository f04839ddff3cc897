# SPDX-License-Identifier: Apache-2.0
"""Frame statistics: every frame is published, dropped for a reason, or still pending."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.ros import frame_statistics as reasons
from depth_estimation_ros.ros.frame_statistics import WINDOW, FrameStatistics, Summary

REASONS = [value for name, value in vars(reasons).items()
           if name.isupper() and isinstance(value, str)]


def balanced(summary: Summary) -> bool:
    return summary.received == (
        summary.published + sum(summary.dropped.values()) + summary.pending)


def test_at_first_nothing_is_counted() -> None:
    assert FrameStatistics().summary() == Summary(0, 0, {}, 0, {}, {})


def test_the_reasons_are_told_apart() -> None:
    assert len(set(REASONS)) == len(REASONS) >= 7


@given(st.lists(st.sampled_from(['pending', 'published', *REASONS])))
def test_the_counts_balance_whatever_happens(fates: list[str]) -> None:
    statistics = FrameStatistics()
    for fate in fates:
        statistics.receive()
        if fate == 'published':
            statistics.publish({'network': 0.1})
        elif fate != 'pending':
            statistics.drop(fate)
    summary = statistics.summary()
    assert balanced(summary)
    assert (summary.received, summary.published, summary.pending) == (
        len(fates), fates.count('published'), fates.count('pending'))
    assert summary.dropped == {reason: fates.count(reason) for reason in REASONS
                               if reason in fates}


def test_several_threads_may_count() -> None:
    statistics = FrameStatistics()

    def count() -> None:
        for _ in range(2000):
            statistics.receive()
            statistics.drop('failed')
            statistics.receive()
            statistics.publish({'network': 0.1})

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = statistics.summary()
    assert (summary.received, summary.published, summary.pending) == (16000, 8000, 0)
    assert summary.dropped == {'failed': 8000}


def test_stages_are_summarised_in_milliseconds() -> None:
    statistics = FrameStatistics()
    for seconds in range(101):
        statistics.publish({'network': seconds * 1e-3, 'total': 0.5})
    p50, p99 = statistics.summary().stages['network']
    assert (p50, p99) == pytest.approx((50.0, 99.0))
    assert statistics.summary().stages['total'] == pytest.approx((500.0, 500.0))


def test_only_the_last_frames_count_for_the_stages() -> None:
    statistics = FrameStatistics()
    for seconds in [9.0] * 50 + [0.001] * WINDOW:
        statistics.publish({'network': seconds})
    assert statistics.summary().stages['network'] == pytest.approx((1.0, 1.0))
    assert statistics.summary().published == WINDOW + 50


def test_the_last_explanation_of_each_reason_is_kept() -> None:
    statistics = FrameStatistics()
    statistics.drop('failed', 'out of memory')
    statistics.drop('undecodable', 'step is 1')
    statistics.drop('failed', 'out of luck')
    statistics.drop('replaced')
    assert statistics.summary().explanations == {
        'failed': 'out of luck', 'undecodable': 'step is 1'}


def test_a_summary_does_not_change_afterwards() -> None:
    statistics = FrameStatistics()
    statistics.drop('failed')
    before = statistics.summary()
    statistics.drop('failed')
    assert before.dropped == {'failed': 1}
