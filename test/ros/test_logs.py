"""Warnings on their way to the operator: none too often, none for ever."""

from __future__ import annotations

import logging

import pytest

from depth_estimation_ros.ros import logs
from depth_estimation_ros.ros.logs import FRESH, QUIET, CoreLog, Throttle


class Logger:
    """Keeps what it is given, with its level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str):
        return lambda text: self.lines.append((level, text))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """A list whose one number is the time in seconds."""
    now = [1000.0]
    monkeypatch.setattr(logs.time, 'monotonic', lambda: now[0])
    return now


def test_a_warning_of_one_kind_is_repeated_after_a_while_with_how_many_were_held(clock) -> None:
    logger = Logger()
    throttle = Throttle(logger)
    for _ in range(3):
        throttle.warn('front undecodable', 'step is 1')
    throttle.warn('rear undecodable', 'step is 2')
    clock[0] += QUIET
    throttle.warn('front undecodable', 'step is 3')
    assert [text for _, text in logger.lines] == [
        'front undecodable: step is 1', 'rear undecodable: step is 2',
        'front undecodable: step is 3 (2 more like it since)']


def test_the_cores_records_keep_their_level_and_the_last_warning_fades(clock) -> None:
    logger = Logger()
    handler = CoreLog(logger)
    for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.INFO):
        handler.emit(logging.LogRecord('core', level, '', 0, f'level {level}', None, None))
    assert [level for level, _ in logger.lines] == ['info', 'warning', 'error', 'info']
    assert handler.last_warning == 'level 40'
    clock[0] += FRESH
    assert handler.last_warning == ''
