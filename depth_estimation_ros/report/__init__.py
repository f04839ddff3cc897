# SPDX-License-Identifier: Apache-2.0
"""Reports of runs: a description, the page that is made of it, and what describes each run."""

from .description import Bars, Gallery, Histogram, Report, Sample, Series, Table
from .page import html_of
from .runs import report_of, write_page, write_report

__all__ = [
    'Bars', 'Gallery', 'Histogram', 'Report', 'Sample', 'Series', 'Table', 'html_of', 'report_of',
    'write_page', 'write_report',
]
