# SPDX-License-Identifier: Apache-2.0
"""The report of a job over many bags, as process_bags has noted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .description import Bars, Report, Table
from .frames import frames_table


def job_report(run: Path, bags: Sequence[Mapping[str, Any]]) -> Report:
    """Describe what became of each bag; the page of one bag shows its depth."""
    whole = [bag for bag in bags if bag['is_whole']]
    frames, seconds = sum(map(_published, bags)), sum(bag['seconds'] for bag in bags)
    facts = {'Folder': str(run), 'Bags with depth': f'{len(whole)} of {len(bags)}',
             'Parts': f'{sum(bag["parts"] for bag in bags)}, of which '
                      f'{sum(bag["made"] for bag in bags)} were made by the last run',
             'Frames with depth': str(frames), 'Seconds of work, all workers': f'{seconds:.1f}'}
    rates = {bag['bag']: _published(bag) / bag['seconds']
             for bag in whole if bag['seconds'] and bag['made'] == bag['parts']}
    accounts = {f'{bag["bag"]}: {topic}': account for bag in bags
                for topic, account in bag['frames'].items()}
    return Report(
        f'Bags in {run.resolve().name}', facts,
        [_table(bags), *([frames_table(accounts)] if accounts else []),
         *([Bars('Speed of a worker', rates, 'frames/s')] if rates else [])],
        [f'{bag["bag"]}: {text}' for bag in bags for text in (*bag['errors'], *bag['warnings'])])


def _table(bags: Sequence[Mapping[str, Any]]) -> Table:
    return Table('Bags', ('bag', 'parts', 'frames with depth', 'seconds', 'state'), [
        (bag['bag'], str(bag['parts']), str(_published(bag)), f'{bag["seconds"]:.1f}',
         'whole' if bag['is_whole'] else '; '.join(bag['errors'])) for bag in bags],
        'The page of one bag, with its depth: report FOLDER/BAG.')


def _published(bag: Mapping[str, Any]) -> int:
    return sum(account['published'] for account in bag['frames'].values())
