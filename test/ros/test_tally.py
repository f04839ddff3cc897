"""The tally: every frame that came is published, dropped for a reason, or still pending."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_estimation_ros.ros import tally
from depth_estimation_ros.ros.tally import WINDOW, Summary, Tally

REASONS = [value for name, value in vars(tally).items()
           if name.isupper() and isinstance(value, str)]


def balanced(summary: Summary) -> bool:
    return summary.received == (
        summary.published + sum(summary.dropped.values()) + summary.pending)


def test_an_empty_account_is_empty() -> None:
    assert Tally().summary() == Summary(0, 0, {}, 0, {}, {})


def test_the_reasons_are_told_apart() -> None:
    assert len(set(REASONS)) == len(REASONS) >= 7


@given(st.lists(st.sampled_from(['pending', 'published', *REASONS])))
def test_the_account_balances_whatever_happens(fates: list[str]) -> None:
    account = Tally()
    for fate in fates:
        account.receive()
        if fate == 'published':
            account.publish({'network': 0.1})
        elif fate != 'pending':
            account.drop(fate)
    summary = account.summary()
    assert balanced(summary)
    assert (summary.received, summary.published, summary.pending) == (
        len(fates), fates.count('published'), fates.count('pending'))
    assert summary.dropped == {reason: fates.count(reason) for reason in REASONS
                               if reason in fates}


def test_several_threads_may_count() -> None:
    account = Tally()

    def count() -> None:
        for _ in range(2000):
            account.receive()
            account.drop('failed')
            account.receive()
            account.publish({'network': 0.1})

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = account.summary()
    assert (summary.received, summary.published, summary.pending) == (16000, 8000, 0)
    assert summary.dropped == {'failed': 8000}


def test_stages_are_summarised_in_milliseconds() -> None:
    account = Tally()
    for seconds in range(101):
        account.publish({'network': seconds * 1e-3, 'total': 0.5})
    p50, p99 = account.summary().stages['network']
    assert (p50, p99) == (pytest.approx(50.0), pytest.approx(99.0))
    assert account.summary().stages['total'] == (pytest.approx(500.0), pytest.approx(500.0))


def test_only_the_last_frames_count_for_the_stages() -> None:
    account = Tally()
    for seconds in [9.0] * 50 + [0.001] * WINDOW:
        account.publish({'network': seconds})
    assert account.summary().stages['network'] == (pytest.approx(1.0), pytest.approx(1.0))
    assert account.summary().published == WINDOW + 50


def test_the_last_explanation_of_each_reason_is_kept() -> None:
    account = Tally()
    account.drop('failed', 'out of memory')
    account.drop('undecodable', 'step is 1')
    account.drop('failed', 'out of luck')
    account.drop('replaced')
    assert account.summary().explanations == {
        'failed': 'out of luck', 'undecodable': 'step is 1'}


def test_a_summary_does_not_change_afterwards() -> None:
    account = Tally()
    account.drop('failed')
    before = account.summary()
    account.drop('failed')
    assert before.dropped == {'failed': 1}
