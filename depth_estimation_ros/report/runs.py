# SPDX-License-Identifier: Apache-2.0
"""What a run is, by what lies in its folder, and the page of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..fleet.run import REPORT as BAGS
from ..offline.files import write_whole
from ..offline.job import JOB
from ..recordings import RecordingError
from .description import Report
from .estimated import estimated_report
from .figures import demo_report, soak_report
from .job import job_report
from .page import html_of
from .recorded import recorded_report

PAGE = 'report.html'
FIGURES = 'report.json'
KINDS = ('a recording with depth, as process_bag and the node leave it, or the folder of '
         'estimate, process_bags, demo or soak')


def write_report(run: Path, output: Path | None = None) -> Path:
    """
    Write the page of a run.

    :param output: the file; in the run's folder without one.
    :raises RecordingError: when it is no run, or the page cannot be written.
    """
    return write_page(report_of(run), run / PAGE if output is None else output)


def write_page(report: Report, output: Path) -> Path:
    """Write a report, whole or not at all; raises RecordingError when that cannot be."""
    write_whole(output, html_of(report).encode())
    return output


def report_of(run: Path) -> Report:
    """
    Describe a run.

    :raises RecordingError: when it is none, or cannot be read; the text says what is one.
    """
    if (run / JOB).is_file():
        return estimated_report(run)
    bags, figures = _noted(run / BAGS), _noted(run / FIGURES)
    figures = figures if isinstance(figures, dict) else {}
    try:
        if isinstance(bags, list):
            return job_report(run, bags)
        if 'rss_mb' in figures:
            return soak_report(run, figures)
        if 'frames_in' in figures:
            return demo_report(run, figures)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f'{run / (FIGURES if bags is None else BAGS)} is of no run '
                             f'of this version: {error!r}') from error
    try:
        return recorded_report(run)
    except RecordingError as error:
        raise RecordingError(f'{run} is no run ({error}); a run is {KINDS}') from error


def _noted(path: Path) -> Any:
    """Return what a file in JSON says; None where there is none."""
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise RecordingError(f'{path} cannot be read: {error}') from error
