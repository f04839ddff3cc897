# SPDX-License-Identifier: Apache-2.0
"""Find a checkpoint on disk or on the hub, whole; it knows no family of models."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from . import hub
from .errors import CheckpointError

PREPROCESSOR, PROCESSOR = 'preprocessor_config.json', 'processor_config.json'
"""Where transformers has the image processor's settings; in the second, since version 5, below
``image_processor``, and there they come first."""

FILES = ('config.json', PREPROCESSOR, PROCESSOR, '*.safetensors', '*.safetensors.index.json')
WEIGHTS = 'model.safetensors'
"""The file that transformers loads; a large model has an index and shards instead."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files: where they lie and what they say; no weight is read yet."""

    name: str
    folder: Path
    """The folder, or the file of a graph."""
    config: dict[str, Any]
    """The parsed config.json."""
    preprocessor: dict[str, Any]
    """The image processor's settings, without what is null there: that has its default."""


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
    return Checkpoint(name, folder, _read_json(folder / 'config.json'), {
        key: value for key, value in _preprocessor(folder).items() if value is not None})


def _preprocessor(folder: Path) -> dict[str, Any]:
    """Read the image processor's settings from where transformers takes them."""
    if (folder / PROCESSOR).is_file():
        nested = _read_json(folder / PROCESSOR).get('image_processor')
        if isinstance(nested, dict):
            return nested
    return _read_json(folder / PREPROCESSOR)


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
    cached = hub.cached(name, revision, FILES)
    missing = missing_files(cached) if cached else []
    if cached and not missing:
        return cached
    if local_files_only:
        raise CheckpointError(_not_found(
            name, revision, missing, 'local_files_only forbids to ask the hub. '
            + hub.command(name, revision)))
    try:
        folder = hub.download(name, revision, FILES)
    except hub.HubError as error:
        raise CheckpointError(_not_found(name, revision, missing, str(error))) from error
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
    names = ['config.json'] if (folder / PROCESSOR).is_file() else ['config.json', PREPROCESSOR]
    return [*(name for name in names if not (folder / name).is_file()), *missing_weights(folder)]


def missing_weights(folder: Path) -> list[str]:
    """Return the names of the files with weights that a folder lacks."""
    return [name for name in weight_files(folder) if not (folder / name).is_file()]


def weight_files(folder: Path) -> list[str]:
    """Return the names of the files that weights are loaded from, be they there or not."""
    index = folder / f'{WEIGHTS}.index.json'
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if index.is_file():
        shards = _read_json(index).get('weight_map')
        if not isinstance(shards, dict):
            raise CheckpointError(f'{index} holds no weight_map')
        return sorted(set(map(str, shards.values())))
    return [index.name if any(folder.glob('model-*-of-*.safetensors')) else WEIGHTS]


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # '~name' of a user whom this machine does not have
        return Path(name)


def _not_found(name: str, revision: str, missing: list[str], reason: str) -> str:
    where = f'the cache {constants.HF_HUB_CACHE}'
    state = f'lacks {", ".join(missing)} in {where}' if missing else f'is not in {where}'
    return f"model '{name}' (revision '{revision}') {state}, and {reason}"


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
