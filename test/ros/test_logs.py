# SPDX-License-Identifier: Apache-2.0
"""Warnings on their way to the operator: none too often, none for ever."""

from __future__ import annotations

import logging
import time

import pytest

from depth_estimation_ros.core.errors import DeviceError
from depth_estimation_ros.ros.logs import FRESH, LONGEST, QUIET, CoreLog, Throttle, one_line


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
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    return now


def test_a_warning_of_one_kind_is_repeated_after_a_while_with_how_many_were_held(clock) -> None:
    logger = Logger()
    throttle = Throttle(logger.warning)
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


def test_nothing_is_logged_once_the_logger_is_closed(clock) -> None:
    logger, open_ = Logger(), [True]
    handler = CoreLog(logger, lambda: open_[0])
    record = logging.LogRecord('core', logging.ERROR, '', 0, 'late', None, None)
    handler.emit(record)
    open_[0] = False
    handler.emit(record)
    assert logger.lines == [('error', 'late')]


@pytest.mark.parametrize(('error', 'line'), [
    (DeviceError('no room:\n  16 GiB\n'), 'no room: 16 GiB'), (ValueError('far'), 'far'),
    (RuntimeError('CUDA\nerror'), 'RuntimeError: CUDA error'), (KeyError(), 'KeyError'),
    (ValueError(), 'ValueError')], ids=repr)
def test_an_error_is_one_line_with_its_class_where_it_was_not_foreseen(
        error: Exception, line: str) -> None:
    assert one_line(error) == line


def test_an_error_that_goes_on_for_pages_is_cut() -> None:
    assert len(one_line(ValueError('x' * 10**6))) == LONGEST
