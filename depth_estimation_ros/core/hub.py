# SPDX-License-Identifier: Apache-2.0
"""The Hugging Face hub: its cache on this machine, and what it gives or why not, in good time."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NoReturn, TypeVar

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.file_download import repo_folder_name

TIMEOUT = 5.0
"""Seconds to wait for the hub's answer; a robot without network must not hang at start."""

STALL = 180.0
"""Seconds without a byte until a download is given up: long enough for a slow link, on which the
hub's library may hold back tens of megabytes before it writes. Some of its requests never end."""

Answer = TypeVar('Answer')

STATUS_LINE = re.compile(r'\b\d{3} Client Error|\(Request ID:')
"""How the hub's library begins: with what HTTP says; what the hub says comes below."""

REFUSED = (401, 403, 404)
"""What the hub answers for names that it does not have, or not for everybody."""


class HubError(Exception):
    """Why the hub gives no checkpoint, in one line with what to do about it."""


def cached(name: str, revision: str, patterns: Sequence[str]) -> Path | None:
    """Return a repository's snapshot in the cache, whole or not; None where there is none."""
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns),
                                      local_files_only=True))
    except (OSError, ValueError) as error:
        found = getattr(error, 'snapshot_path', None)  # of IncompleteSnapshotError, since 1.22
        return Path(found) if found else None


def download(name: str, revision: str, patterns: Sequence[str]) -> Path:
    """
    Bring a repository's files into the cache, and return their folder.

    :param patterns: of the names of the files, as a shell has them.
    :raises HubError: when the hub does not answer in time, refuses, or has no such file.
    """
    try:
        patiently(lambda: HfApi().model_info(name, revision=revision, timeout=TIMEOUT),
                  2 * TIMEOUT)
        return Path(patiently(
            lambda: snapshot_download(name, revision=revision, allow_patterns=list(patterns),
                                      etag_timeout=TIMEOUT), STALL, partial(_bytes, name)))
    except Exception as error:  # of the hub's library or the HTTP library below it; many kinds
        raise HubError(f'{constants.ENDPOINT} does not give it: {_reason(error)}. '
                       f'{_remedy(error, name, revision)}') from error


def command(name: str, revision: str) -> str:
    """Return what fetches a repository elsewhere, as a sentence."""
    return f'Fetch it on a machine with network: hf download {name} --revision {revision}'


def patiently(work: Callable[[], Answer], patience: float,
              progress: Callable[[], int] = lambda: 0) -> Answer:
    """
    Do work that may hang for ever, in a name look-up as in a reading, beside the caller.

    :param patience: seconds until it must end or make progress.
    :param progress: returns what changes with it.
    :raises TimeoutError: when it did neither; else what the work raises.
    """
    answers: SimpleQueue[Callable[[], Answer]] = SimpleQueue()

    def answer() -> None:
        try:
            done = work()
            answers.put(lambda: done)
        except Exception as error:  # of whichever library; the waiting thread raises it
            answers.put(partial(_raise, error))

    Thread(target=answer, daemon=True).start()
    before = progress()
    while True:
        try:
            return answers.get(timeout=patience)()
        except Empty:
            before, last = progress(), before
            if before == last:
                raise TimeoutError(f'no answer within {patience:.0f} s') from None


def _raise(error: Exception) -> NoReturn:
    raise error


def _bytes(name: str) -> int:
    """Return how much of a repository is in the cache."""
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type='model')
    sizes = 0
    for path in blobs.glob('blobs/*'):
        with suppress(OSError):  # renamed or gone meanwhile
            sizes += path.stat().st_size
    return sizes


def _reason(error: Exception) -> str:
    """Return what the hub says, not what HTTP does."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    said = getattr(error, 'server_message', None)
    return str(said or next((line for line in lines if not STATUS_LINE.search(line)), lines[0])
               ).splitlines()[0].rstrip('.')


def _remedy(error: Exception, name: str, revision: str) -> str:
    status = getattr(getattr(error, 'response', None), 'status_code', None)
    if status not in REFUSED:
        return command(name, revision)
    return (f'Check the name and the revision at {constants.ENDPOINT}/{name}; a private or gated '
            'model needs its terms accepted there, and hf auth login here')
