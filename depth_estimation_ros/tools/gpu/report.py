# SPDX-License-Identifier: Apache-2.0
"""What the steps found, as text for a terminal; needs nothing but Python."""

from __future__ import annotations

from typing import Any


def print_report(report: dict[str, Any]) -> None:
    """Print a line a step, and below it the rows that it measured."""
    print(f'{report["model"]} on {report["device"]}, torch {report["torch"]}, '
          f'transformers {report["transformers"]}')
    for name, step in report['steps'].items():
        passed = 'passed' if step['passed'] else 'FAILED'
        facts = ', '.join(f'{key} {value}' for key, value in step.items()
                          if key not in ('passed', 'rows'))
        print(f'{name:<16}{passed}   {facts}')
        print_rows(step.get('rows', []))


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print rows of the same keys as a table."""
    if not rows:
        return
    cells = [list(rows[0]), *([_text(row.get(key)) for key in rows[0]] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print('    ' + '  '.join(cell.rjust(width) for cell, width in zip(row, widths)))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    return '-' if value is None else str(value)
