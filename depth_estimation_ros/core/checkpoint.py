# SPDX-License-Identifier: Apache-2.0
"""Find a checkpoint on disk or on the hub, whole; it knows no family of models."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download

from .errors import CheckpointError

FILES = ('config.json', 'preprocessor_config.json', '*.safetensors', '*.safetensors.index.json')
WEIGHTS = 'model.safetensors'
"""The file that transformers loads; a large model has an index and shards instead."""

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub's answer; a robot without network must not hang at start."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files: where they lie and what they say; no weight is read yet."""

    name: str
    folder: Path
    """The folder, or the file of a graph."""
    config: dict[str, Any]
    """The parsed config.json."""
    preprocessor: dict[str, Any]
    """The parsed preprocessor_config.json, without what is null there: that has its default."""


def read_checkpoint(name: str, *, revision: str = 'main',
                    local_files_only: bool = False) -> Checkpoint:
    """
    Find a checkpoint and read what its files say of it.

    :param name: a folder, an .onnx or OpenVINO's .xml file, or an id on the Hugging Face hub.
    :param revision: the hub's branch, tag or commit; ignored for a folder or file.
    :param local_files_only: never ask the hub, only its cache on this machine.
    :raises CheckpointError: when it is missing, or a file cannot be read.
    """
    if name.endswith(('.onnx', '.xml')):
        return _graph_file(name)
    folder = find_checkpoint(name, revision=revision, local_files_only=local_files_only)
    config = _read_json(folder / 'config.json')
    preprocessor = _read_json(folder / 'preprocessor_config.json')
    return Checkpoint(name, folder, config, {
        key: value for key, value in preprocessor.items() if value is not None})


def _graph_file(name: str) -> Checkpoint:
    path = _expanded(name)
    if not path.is_file():
        raise CheckpointError(f"model '{name}': there is no such file (looked for "
                              f'{path.absolute()})')
    return Checkpoint(name, path, {'model_type': 'onnx'}, {})


def find_checkpoint(name: str, *, revision: str = 'main', local_files_only: bool = False) -> Path:
    """
    Return the folder that holds a checkpoint, downloading it from the hub when it must.

    The hub's cache on this machine comes first, so a robot that has the files starts without
    network. The hub is asked once, with a short time-out.

    :raises CheckpointError: when it is nowhere to be had, naming where it was looked for.
    """
    folder = _expanded(name)
    if name and folder.is_dir():
        return folder
    if os.sep in name and (name.startswith(('.', '~', os.sep)) or name.count(os.sep) > 1):
        raise CheckpointError(f"model '{name}': there is no such folder (looked for "
                              f'{folder.absolute()})')
    wanted = {'repo_id': name, 'revision': revision, 'allow_patterns': list(FILES)}
    cached = _cached(wanted)
    missing = missing_files(cached) if cached else []
    if cached and not missing:
        return cached
    if local_files_only:
        raise CheckpointError(_not_found(
            name, revision, missing, 'local_files_only forbids to ask the hub'))
    try:
        _ask_hub(name, revision)
        folder = Path(snapshot_download(**wanted, etag_timeout=HUB_TIMEOUT))
    except Exception as error:  # of the hub's library or the HTTP library below it; many kinds
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise CheckpointError(_not_found(
            name, revision, missing,
            f'{constants.ENDPOINT} does not give it: {reason}')) from error
    missing = missing_files(folder)
    if missing:
        why = ('pickled weights (*.bin) and variants such as *.fp16.safetensors are not loaded. '
               'Take another revision, or a converted copy') if missing_weights(folder) else (
               'copy it from the model that this one was made of')
        raise CheckpointError(f"model '{name}' (revision '{revision}'): {constants.ENDPOINT} has "
                              f'no {", ".join(missing)} in it: {why}')
    return folder


def missing_files(folder: Path) -> list[str]:
    """
    Return the names of the files that a checkpoint's folder lacks.

    A link whose file is gone, as after an interrupted download, counts as missing.
    """
    names = ('config.json', 'preprocessor_config.json')
    return [*(name for name in names if not (folder / name).is_file()), *missing_weights(folder)]


def missing_weights(folder: Path) -> list[str]:
    """Return the names of the files with weights that a folder lacks."""
    index = folder / f'{WEIGHTS}.index.json'
    if (folder / WEIGHTS).is_file():
        return []
    if index.is_file():
        shards = _read_json(index).get('weight_map')
        if not isinstance(shards, dict):
            raise CheckpointError(f'{index} holds no weight_map')
        return sorted(name for name in set(map(str, shards.values()))
                      if not (folder / name).is_file())
    return [index.name if any(folder.glob('model-*-of-*.safetensors')) else WEIGHTS]


def _cached(wanted: dict[str, Any]) -> Path | None:
    """Return the snapshot in the cache, whole or not; None where there is none."""
    try:
        return Path(snapshot_download(**wanted, local_files_only=True))
    except (OSError, ValueError) as error:
        partial = getattr(error, 'snapshot_path', None)  # of IncompleteSnapshotError, since 1.22
        return Path(partial) if partial else None


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # '~name' of a user whom this machine does not have
        return Path(name)


def _ask_hub(name: str, revision: str) -> None:
    """Raise in good time when the hub does not answer, however long name look-up hangs."""
    answers: SimpleQueue[str] = SimpleQueue()

    def ask() -> None:
        try:
            HfApi().model_info(name, revision=revision, timeout=HUB_TIMEOUT)
            answers.put('')
        except Exception as error:  # of whichever HTTP library; the waiting thread names it
            answers.put(str(error).strip() or repr(error))

    Thread(target=ask, daemon=True).start()
    try:
        failure = answers.get(timeout=2 * HUB_TIMEOUT)
    except Empty:
        raise TimeoutError(f'no answer within {2 * HUB_TIMEOUT:.0f} s') from None
    if failure:
        raise ConnectionError(failure)


def _not_found(name: str, revision: str, missing: list[str], reason: str) -> str:
    where = f'the cache {constants.HF_HUB_CACHE}'
    state = f'lacks {", ".join(missing)} in {where}' if missing else f'is not in {where}'
    return (f"model '{name}' (revision '{revision}') {state}, and {reason}. Fetch it on a machine "
            f'with network: hf download {name} --revision {revision}')


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"'{path.parent}' is not a checkpoint: {path.name} cannot be read "
                              f'({error.strerror})') from error
    except ValueError as error:
        raise CheckpointError(f'{path} is not valid JSON: {error}') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} does not hold a JSON object')
    return content
