# SPDX-License-Identifier: Apache-2.0
"""A bag into a bag with depth: all that was there, and beside each camera what was estimated."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from .. import __version__
from ..recordings import Recording, RecordingError, open_recording
from .account import Account, without_depth
from .added import Outputs, ProcessOptions, outputs_of
from .network import Network, NetworkOptions
from .one_pass import Process
from .partial import Partial
from .parts import source_of


def process_bag(source: str, output: Path, options: ProcessOptions, network: NetworkOptions, *,
                restart: bool = False,
                progress: tqdm) -> tuple[dict[str, Account], list[str]]:
    """
    Write a rosbag2 directory with all records of a recording and the depth of its images.

    A run that was killed is taken up where its last part ended; what comes out is the same.

    :param source: a recording of any kind.
    :param output: the directory to make; must not exist.
    :param restart: whether to throw away what an earlier run left.
    :param progress: the bar to move.
    :return: the account of each image topic, and what was strange in the recording.
    :raises RecordingError: when the recording or the output is at fault.
    :raises DepthError: when the network is.
    """
    recording = open_recording(source)
    wanted = outputs_of(recording, options)
    job = {'source': source_of(source), 'version': __version__, **asdict(network),
           **asdict(options)}
    with Partial(output, job, restart=restart) as partial:
        if partial.is_complete:
            return {}, [f'{output} was whole already: an earlier run was ended after its last '
                        'step']
        counts = [recording.channels[outputs.camera.image].count for outputs in wanted]
        progress.reset(total=None if None in counts else sum(filter(None, counts)))
        accounts, parts = _all_parts(recording, wanted, options, partial, network, progress)
        if fault := without_depth(accounts):
            partial.remove()
            raise RecordingError(fault)
        partial.publish(parts, {topic: account.as_json() for topic, account in accounts.items()})
    return accounts, recording.warnings


def _all_parts(recording: Recording, outputs: list[Outputs], options: ProcessOptions,
               partial: Partial, settings: NetworkOptions,
               progress: tqdm) -> tuple[dict[str, Account], int]:
    """Make the parts that are not finished; return what became of the frames, and their count."""
    network = Network(settings)
    totals = {one.camera.image: Account() for one in outputs}
    try:
        with closing(Process(recording, outputs, options, network, partial, progress)) as process:
            while not process.is_done:
                if note := partial.finished(process.part):
                    process.pass_by()
                for topic, account in (note['accounts'] if note else process.make()).items():
                    totals[topic].add(account)
            return totals, process.part
    finally:
        network.close()
