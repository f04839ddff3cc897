# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: every weight accounted for, or one line that says what is wrong and where."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import ZoeDepthForDepthEstimation

from depth_estimation_ros.core import hub as hub_module
from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError
from depth_estimation_ros.core.families.base import Family
from depth_estimation_ros.core.families.registry import load_family
from depth_estimation_ros.core.hub import patiently
from depth_estimation_ros.core.weights import load_model

from .conftest import stock_model

COMMIT = '0123456789abcdef0123456789abcdef01234567'

CLIENT = """
import json, sys, time
from depth_estimation_ros.core.checkpoint import read_checkpoint
from depth_estimation_ros.core.errors import CheckpointError

answers = {}
for name in sys.argv[1:]:
    started = time.monotonic()
    try:
        read_checkpoint(name)
        answers[name] = '', time.monotonic() - started
    except CheckpointError as error:
        answers[name] = str(error), time.monotonic() - started
print('\\n' + json.dumps(answers))
"""


@pytest.fixture
def folder(checkpoint_of: Callable[..., Path], tmp_path: Path) -> Path:
    """A sound checkpoint that a test may damage."""
    return Path(shutil.copytree(checkpoint_of(), tmp_path / 'checkpoint'))


def configure(folder: Path, file: str = 'config.json', **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / 'model.safetensors')
    change(weights)
    save_file(weights, folder / 'model.safetensors', {'format': 'pt'})


def load(name: Path | str, **options: Any) -> Family:
    """Find a checkpoint and load its model."""
    return load_family(read_checkpoint(str(name), **options))


def refusal(name: Path | str, **options: Any) -> str:
    """Return what loading says, which must be one line that names the model."""
    with pytest.raises(CheckpointError) as error:
        load(name, **options)
    text = str(error.value)
    assert '\n' not in text and str(name) in text
    return text


def test_a_checkpoint_holds_its_model_in_fp32(folder: Path) -> None:
    checkpoint = read_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.folder) == (str(folder), folder)
    assert checkpoint.config['model_type'] == 'zoedepth'
    assert checkpoint.preprocessor['size'] == {'height': 96, 'width': 128}
    model = load_model(ZoeDepthForDepthEstimation, checkpoint)
    assert not model.training
    expected = stock_model().state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, expected[name])
    assert load_family(checkpoint).range == (0.001, 80.0)


def test_half_precision_weights_become_fp32(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update(
        {name: weight.half() for name, weight in weights.items() if weight.is_floating_point()}))
    configure(folder, dtype='float16', torch_dtype='float16')
    model = load(folder).network
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_weights_beyond_the_model_do_no_harm(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update(more=torch.zeros(3)))
    load(folder)


@pytest.mark.parametrize('name', ['/nowhere/at/all', './nowhere', '~nobody-of-this-name/model',
                                  'a/b/c'])
def test_a_missing_folder_is_named_as_looked_for(name: str) -> None:
    assert 'no such folder' in refusal(name)


@pytest.mark.parametrize('file', ['config.json', 'preprocessor_config.json'])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert re.search(rf"'{folder}' is not a checkpoint: {file} .*No such file", refusal(folder))


@pytest.mark.parametrize('file', ['config.json', 'preprocessor_config.json'])
@pytest.mark.parametrize(('content', 'fault'), [
    (b'{"model_type": ', 'not valid JSON'), (b'\xff\xfe\x00', 'not valid JSON'),
    (b'', 'not valid JSON'), (b'[]', 'JSON object')])
def test_broken_json_is_named(folder: Path, file: str, content: bytes, fault: str) -> None:
    (folder / file).write_bytes(content)
    text = refusal(folder)
    assert str(folder / file) in text and fault in text


@pytest.mark.parametrize('kind', ['vit', None])
def test_another_kind_of_model_is_refused(folder: Path, kind: str | None) -> None:
    configure(folder, model_type=kind)
    text = refusal(folder)
    assert f"of type '{kind}', which is not served" in text and 'zoedepth' in text


@pytest.mark.parametrize('change', [
    {'size': {'shortest_edge': 384}}, {'size': 384}, {'image_std': [0.5]},
    {'rescale_factor': 'x'}, {'resample': 0}, {'do_resize': False}], ids=str)
def test_unusable_preprocessing_is_refused(folder: Path, change: dict[str, Any]) -> None:
    configure(folder, 'preprocessor_config.json', **change)
    assert 'preprocessor_config.json' in refusal(folder)


def test_pickled_weights_are_not_loaded(folder: Path) -> None:
    torch.save(load_file(folder / 'model.safetensors'), folder / 'pytorch_model.bin')
    (folder / 'model.safetensors').unlink()
    text = refusal(folder)
    assert 'no *.safetensors' in text and '*.bin' in text


@pytest.mark.parametrize('damage', [
    lambda content: content[:-50], lambda content: content[:5000], lambda content: b'',
    lambda content: bytes(1000)], ids=['end cut off', 'most cut off', 'empty', 'zeros'])
def test_a_corrupt_file_is_named(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    weights = folder / 'model.safetensors'
    weights.write_bytes(damage(weights.read_bytes()))
    assert 'cannot be loaded: ' in refusal(folder)


def test_a_missing_weight_is_named(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.pop('neck.convs.0.weight'))
    assert 'lacks 1 of the weights' in (text := refusal(folder))
    assert 'the first is neck.convs.0.weight' in text


def test_a_weight_of_another_shape_is_named(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update({'neck.convs.0.weight': torch.zeros(2, 2)}))
    assert 'the first is neck.convs.0.weight' in refusal(folder)


@pytest.mark.parametrize('change', [
    {'bottleneck_features': 'many'}, {'bin_configurations': []}, {'bin_centers_type': 'odd'},
    {'backbone_config': {'model_type': 'odd'}}, {'neck_hidden_sizes': [1, 2]}], ids=str)
def test_a_config_that_makes_no_sense_is_refused(folder: Path, change: dict[str, Any]) -> None:
    configure(folder, **change)
    refusal(folder)


def test_code_in_a_checkpoint_is_never_run(folder: Path) -> None:
    marker = folder / 'ran'
    (folder / 'custom.py').write_text(f'open({str(marker)!r}, "w")\n')
    names = ('AutoConfig', 'AutoModel', 'AutoModelForDepthEstimation', 'AutoImageProcessor')
    configure(folder, auto_map=dict.fromkeys(names, 'custom.Custom'))
    load(folder)
    configure(folder, model_type='custom')
    refusal(folder)
    assert not marker.exists()


def test_a_hub_id_that_is_not_cached_is_refused_without_asking(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*args: Any) -> None:
        pytest.fail('the network was used')

    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    monkeypatch.setattr(socket.socket, 'connect', ask)
    text = refusal('nobody/nothing', revision='v2', local_files_only=True)
    assert str(constants.HF_HUB_CACHE) in text and 'local_files_only' in text
    assert 'hf download nobody/nothing --revision v2' in text
    assert constants.ENDPOINT not in text


def test_a_backbone_by_name_alone_is_refused_without_asking_the_hub(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*args: Any) -> None:
        pytest.fail('the network was used')

    monkeypatch.setattr(socket.socket, 'connect', ask)
    configure(folder, backbone='facebook/dinov2-small', backbone_config=None)
    assert "names its backbone, 'facebook/dinov2-small'" in refusal(folder)


def test_a_pointer_of_git_lfs_is_named(folder: Path) -> None:
    (folder / 'model.safetensors').write_text(
        'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1340\n')
    assert 'git lfs pull' in refusal(folder)


def test_a_pointer_that_is_not_needed_does_no_harm(folder: Path) -> None:
    (folder / 'model.fp16.safetensors').write_text('version https://git-lfs.github.com/spec/v1')
    load(folder)


def test_the_image_processor_is_read_where_transformers_does(folder: Path) -> None:
    own = json.loads((folder / 'preprocessor_config.json').read_text())
    nested = {**own, 'size': {'height': 64, 'width': 96}, 'image_mean': None}
    (folder / 'processor_config.json').write_text(json.dumps({'image_processor': nested}))
    assert read_checkpoint(str(folder)).preprocessor['size'] == nested['size']
    assert 'image_mean' not in read_checkpoint(str(folder)).preprocessor
    (folder / 'preprocessor_config.json').unlink()
    load(folder)
    (folder / 'processor_config.json').write_text('{}')
    assert 'preprocessor_config.json' in refusal(folder)


@pytest.mark.parametrize('key', ['image_processor_type', 'feature_extractor_type'])
def test_images_prepared_in_another_way_are_refused(folder: Path, key: str) -> None:
    path = folder / 'preprocessor_config.json'
    own = {name: value for name, value in json.loads(path.read_text()).items()
           if not name.endswith('_type')}
    path.write_text(json.dumps({**own, key: 'BitImageProcessor'}))
    assert 'names BitImageProcessor' in refusal(folder)
    path.write_text(json.dumps({**own, key: 'ZoeDepthImageProcessorFast'}))
    load(folder)


def test_results_asked_for_as_tuples_change_nothing(folder: Path) -> None:
    configure(folder, return_dict=False)
    load(folder)


def shard(folder: Path) -> Path:
    """Split the weights of a checkpoint over two files and an index, as large ones are."""
    weights = load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    names = sorted(weights)
    files = {name: f'model-0000{1 + number % 2}-of-00002.safetensors'
             for number, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: weights[name] for name in names if files[name] == file}, folder / file,
                  {'format': 'pt'})
    (folder / 'model.safetensors.index.json').write_text(
        json.dumps({'metadata': {'total_size': 0}, 'weight_map': files}))
    return folder


def test_a_sharded_checkpoint_is_loaded(folder: Path) -> None:
    expected = [weight.clone() for weight in load(folder).network.parameters()]
    assert all(map(torch.equal, load(shard(folder)).network.parameters(), expected))


@pytest.mark.parametrize('file', [
    'model-00002-of-00002.safetensors', 'model.safetensors.index.json'])
def test_a_missing_part_of_a_sharded_checkpoint_is_named(folder: Path, file: str) -> None:
    (shard(folder) / file).unlink()
    assert f'lacks {file}' in refusal(folder)


@pytest.mark.parametrize('content', ['{"weight_map": ', '{}', '{"weight_map": []}'])
def test_a_broken_index_is_named(folder: Path, content: str) -> None:
    (shard(folder) / 'model.safetensors.index.json').write_text(content)
    assert 'model.safetensors.index.json' in refusal(folder)


class Hub(BaseHTTPRequestHandler):
    """A Hugging Face hub on this machine; what it does depends on the repository's name."""

    folders: dict[str, Path]
    """The files of the repositories whose name begins with 'sharded', and of all others."""
    requests: list[str]

    @property
    def folder(self) -> Path:
        return self.folders['sharded' if '/sharded' in self.path else '']

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if '/resolve/' in self.path:
            self._file(with_body=True)
        elif '/absent' in self.path:
            self._answer(b'{}', status=404, code='RepoNotFound', said='Repository not found')
        elif '/gated' in self.path:
            self._answer(b'{}', status=403, code='GatedRepo', said='Access is restricted')
        elif '/busy' in self.path:
            self._answer(b'{}', status=429, said='We had to rate limit you')
        elif '/tree/' in self.path:
            self._json([{'type': 'file', 'path': file.name, 'oid': '0',
                         'size': file.stat().st_size} for file in self.folder.iterdir()])
        else:
            self._json({'id': 'x/y', 'sha': COMMIT, 'siblings': [
                {'rfilename': file.name} for file in self.folder.iterdir()]})

    def _file(self, *, with_body: bool) -> None:
        content = (self.folder / self.path.rsplit('/', 1)[-1]).read_bytes()
        broken = with_body and '/broken/' in self.path
        self._answer(content[:1000] if broken else content, size=len(content), body=with_body)
        if broken:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, content: Any) -> None:
        self._answer(json.dumps(content).encode())

    def _answer(self, content: bytes, *, status: int = 200, size: int | None = None,
                body: bool = True, code: str = '', said: str = '') -> None:
        self.send_response(status)
        for name, value in (('X-Error-Code', code), ('X-Error-Message', said)):
            if value:
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(content) if size is None else size))
        self.send_header('Content-Type', 'application/json')
        self.send_header('ETag', f'"{self.path.rsplit("/", 1)[-1]}"')
        self.send_header('X-Repo-Commit', COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope='module')
def hub(checkpoint_of: Callable[..., Path],
        tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadingHTTPServer]:
    sharded = shutil.copytree(checkpoint_of(), tmp_path_factory.mktemp('hub') / 'sharded')
    Hub.folders, Hub.requests = {'': checkpoint_of(), 'sharded': shard(Path(sharded))}, []
    server = ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def ask(endpoint: str, home: Path, *names: str) -> dict[str, tuple[str, float]]:
    """Load checkpoints in a process of its own; return each one's refusal and seconds."""
    environment = {**os.environ, 'HF_ENDPOINT': endpoint, 'HF_HOME': str(home),
                   'HF_HUB_DISABLE_XET': '1', 'HF_HUB_DISABLE_PROGRESS_BARS': '1',
                   'NO_PROXY': '127.0.0.1'}
    environment.pop('HF_HUB_OFFLINE', None)
    done = subprocess.run([sys.executable, '-c', CLIENT, *names], env=environment, timeout=120,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, tuple[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_a_hub_that_never_answers_is_given_up_within_20_seconds(tmp_path: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        endpoint = f'http://127.0.0.1:{silent.getsockname()[1]}'
        text, seconds = ask(endpoint, tmp_path, 'lab/silent')['lab/silent']
    assert seconds < 20
    for part in ("'lab/silent'", str(tmp_path / 'hub'), endpoint, 'hf download lab/silent'):
        assert part in text


def test_a_hub_gives_a_checkpoint_once_or_says_why_not(
        hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    endpoint = f'http://127.0.0.1:{hub.server_port}'
    answers = ask(endpoint, tmp_path, 'lab/whole', 'lab/absent', 'lab/broken', 'lab/gated',
                  'lab/busy', 'lab/whole')
    assert answers['lab/whole'][0] == ''
    asked = ['lab/whole' in path for path in Hub.requests]
    assert any(asked) and asked == sorted(asked, reverse=True)
    for name, said in (('absent', 'Repository not found'), ('gated', 'Access is restricted'),
                       ('busy', 'We had to rate limit you'), ('broken', '')):
        text, seconds = answers[f'lab/{name}']
        assert seconds < 20 and '\n' not in text
        assert f"'lab/{name}'" in text and said in text
        assert ('hf auth login' if name in ('absent', 'gated') else
                f'hf download lab/{name}') in text


def test_a_download_of_which_nothing_comes_any_more_is_given_up() -> None:
    with pytest.raises(TimeoutError, match='no answer'):
        patiently(Event().wait, 0.1)
    arrived = iter((0, 1, 2, 2))
    with pytest.raises(TimeoutError, match='no answer'):
        patiently(Event().wait, 0.05, lambda: next(arrived))
    assert next(arrived, 'all asked') == 'all asked'
    slow = Event()
    Timer(0.3, slow.set).start()
    assert patiently(slow.wait, 0.1, lambda: time.monotonic_ns()) is True
    with pytest.raises(KeyError):
        patiently(dict[str, int]().popitem, 0.1)


def cache(home: Path, name: str, source: Path, *without: str) -> Path:
    """Put a snapshot into the hub's cache, but for some files; return its folder."""
    repository = home / 'hub' / f'models--lab--{name}'
    snapshot = repository / 'snapshots' / COMMIT
    shutil.copytree(source, snapshot, ignore=lambda *_: without)
    (repository / 'refs').mkdir()
    (repository / 'refs' / 'main').write_text(COMMIT)
    return snapshot


PARTIAL = {
    'no-preprocessing': ('', 'preprocessor_config.json'), 'no-config': ('', 'config.json'),
    'no-weights': ('', 'model.safetensors'),
    'sharded-no-shard': ('sharded', 'model-00001-of-00002.safetensors'),
    'sharded-no-index': ('sharded', 'model.safetensors.index.json'),
}
"""Names of repositories whose cached snapshot lacks a file."""


@pytest.fixture
def home(hub: ThreadingHTTPServer, tmp_path: Path) -> Path:
    """A cache with snapshots that are whole, partial, interrupted and gone."""
    for name, (kind, file) in PARTIAL.items():
        cache(tmp_path, name, Hub.folders[kind], file)
    cache(tmp_path, 'whole', Hub.folders[''])
    cache(tmp_path, 'sharded-whole', Hub.folders['sharded'])
    interrupted = cache(tmp_path, 'interrupted', Hub.folders[''], 'model.safetensors')
    (interrupted / 'model.safetensors').symlink_to('../../blobs/0123')
    blobs = interrupted.parents[1] / 'blobs'
    blobs.mkdir()
    (blobs / '0123.4567.incomplete').write_bytes(bytes(1000))
    shutil.rmtree(cache(tmp_path, 'refs-alone', Hub.folders['']))
    return tmp_path


def test_what_a_cache_lacks_is_fetched_and_a_whole_one_stays_offline(
        hub: ThreadingHTTPServer, home: Path) -> None:
    whole = [f'lab/{name}' for name in ('whole', 'sharded-whole')]
    partial = [f'lab/{name}' for name in (*PARTIAL, 'interrupted', 'refs-alone')]
    Hub.requests.clear()
    answers = ask(f'http://127.0.0.1:{hub.server_port}', home, *whole, *partial)
    assert {name: text for name, (text, _) in answers.items() if text} == {}
    for name in whole:
        assert not any(name in path for path in Hub.requests)
    for name, (_, file) in PARTIAL.items():
        fetched = [path.rsplit('/', 1)[-1] for path in Hub.requests
                   if f'lab/{name}/resolve' in path]
        assert fetched == [file], 'more than the missing file was fetched'


def test_without_the_hub_what_a_cache_lacks_is_named_with_the_command(home: Path) -> None:
    names = [f'lab/{name}' for name in (*PARTIAL, 'interrupted', 'whole', 'sharded-whole')]
    answers = ask('http://127.0.0.1:9', home, *names)
    assert answers['lab/whole'][0] == answers['lab/sharded-whole'][0] == ''
    for name, file in [*((name, file) for name, (_, file) in PARTIAL.items()),
                       ('interrupted', 'model.safetensors')]:
        text = answers[f'lab/{name}'][0]
        assert f'lacks {file} in the cache {home / "hub"}' in text and '\n' not in text
        assert f'hf download lab/{name} --revision main' in text


def test_a_file_that_the_hub_lacks_too_is_named(
        hub: ThreadingHTTPServer, checkpoint_of: Callable[..., Path], tmp_path: Path) -> None:
    bare = Path(shutil.copytree(checkpoint_of(), tmp_path / 'bare'))
    (bare / 'preprocessor_config.json').unlink()
    text = answer_of(hub, bare, tmp_path / 'home')
    assert 'has no preprocessor_config.json in it' in text and '*.bin' not in text


def test_a_repository_with_pickled_weights_alone_is_named_as_that(
        hub: ThreadingHTTPServer, checkpoint_of: Callable[..., Path], tmp_path: Path) -> None:
    pickled = Path(shutil.copytree(checkpoint_of(), tmp_path / 'pickled'))
    (pickled / 'model.safetensors').rename(pickled / 'model.fp16.safetensors')
    (pickled / 'pytorch_model.bin').write_bytes(bytes(9))
    text = answer_of(hub, pickled, tmp_path / 'home')
    assert 'has no model.safetensors in it' in text and '*.bin' in text
    assert 'hf download' not in text and '\n' not in text


def answer_of(hub: ThreadingHTTPServer, folder: Path, home: Path) -> str:
    """Return what loading a repository of such files says."""
    complete, Hub.folders[''] = Hub.folders[''], folder
    try:
        return ask(f'http://127.0.0.1:{hub.server_port}', home, 'lab/bare')['lab/bare'][0]
    finally:
        Hub.folders[''] = complete


def test_a_snapshot_that_lacks_only_what_is_not_needed_stays_offline(
        checkpoint_of: Callable[..., Path], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's library calls a snapshot incomplete for any file of the repository's list."""
    snapshot = cache(tmp_path, 'listed', checkpoint_of())

    class IncompleteSnapshotError(FileNotFoundError):
        snapshot_path = str(snapshot)

    def incomplete(*_: Any, **__: Any) -> str:
        raise IncompleteSnapshotError('model.fp16.safetensors')

    monkeypatch.setattr(hub_module, 'snapshot_download', incomplete)
    assert read_checkpoint('lab/listed', local_files_only=True).folder == snapshot
