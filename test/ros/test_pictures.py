# SPDX-License-Identifier: Apache-2.0
"""What cameras send beyond the specification, over DDS: the depth is that of the picture meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from .conftest import Peer, RunningNode, metres, stamped

HEIGHT, WIDTH = 96, 128
CLOSE = 0.25
"""What rounding, JPEG and demosaicing may change in depth, as a share of what the fault does."""

CAMERAS = ('twelve', 'ten', 'eight', 'array', 'grey')


@pytest.fixture(scope='module')
def peer() -> Iterator[Peer]:
    """One peer for all tests: to find the topics again takes seconds."""
    node = Peer()
    yield node
    node.destroy_node()


@pytest.fixture(scope='module')
def raw(start: Callable[..., RunningNode], checkpoint: Any) -> RunningNode:
    node = start('-r', '__ns:=/raw', model=checkpoint, device='cpu',
                 cameras=f'[{", ".join(CAMERAS)}]')
    node.wait_for('configured')
    return node


@pytest.fixture(scope='module')
def zipped(start: Callable[..., RunningNode], checkpoint: Any) -> RunningNode:
    node = start('-r', '__ns:=/zip', model=checkpoint, device='cpu', image_transport='compressed')
    node.wait_for('configured')
    return node


def picture() -> NDArray[np.uint8]:
    """Return smooth RGB, dark on one side: a network sees another depth in any other colours."""
    coarse = np.random.default_rng(3).integers(0, 256, (4, 6, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (WIDTH, HEIGHT)) * np.linspace(0.1, 1, WIDTH)[None, :, None]
    return np.asarray(fine / fine.max() * 255, np.uint8)


RGB = picture()
GREY = np.ascontiguousarray(RGB[:, :, 1])


def plain(pixels: NDArray[Any], encoding: str) -> Image:
    data = pixels.tobytes()
    return stamped(Image(height=HEIGHT, width=WIDTH, encoding=encoding,
                         step=len(data) // HEIGHT, data=data))


def packed(kind: str, pixels: NDArray[Any], form: str, *options: int) -> CompressedImage:
    data = cv2.imencode(kind, pixels, options)[1].tobytes()
    return stamped(CompressedImage(format=form, data=data))


def error(peer: Peer, prefix: str, sent: Any, meant: Any, fault: Any) -> float:
    """Return how far a message's depth is from what is meant, by how far a fault was from it."""
    depth, right, wrong = (metres(peer.depth_of(message, prefix))
                           for message in (sent, meant, fault))
    assert np.abs(wrong - right).mean() > 0
    return float(np.abs(depth - right).mean() / np.abs(wrong - right).mean())


@pytest.mark.parametrize(('camera', 'bits'), [('twelve', 12), ('ten', 10), ('eight', 8)])
def test_mono16_of_fewer_bits_is_no_dark_picture(raw: RunningNode, peer: Peer, camera: str,
                                                 bits: int) -> None:
    values = np.rint(GREY / 255 * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    prefix = f'/raw/{camera}/'
    for darker in (1, 3):
        sent, meant, fault = values // darker, GREY // darker, (values // darker >> 8)
        assert error(peer, prefix, plain(sent, 'mono16'), plain(meant, 'mono8'),
                     plain(fault.astype(np.uint8), 'mono8')) < CLOSE
    assert raw.text().count(f"{camera} sends 'mono16' with values up to {2**bits - 1}") == 1


@pytest.mark.parametrize(('camera', 'name', 'pixels', 'meant'), [
    ('array', '8UC3', RGB, 'bgr8'), ('grey', '8UC1', GREY, 'mono8')])
def test_an_array_without_colours_is_taken_with_one_warning(
        raw: RunningNode, peer: Peer, camera: str, name: str, pixels: NDArray[Any],
        meant: str) -> None:
    prefix = f'/raw/{camera}/'
    fault = plain(np.zeros((HEIGHT, WIDTH), np.uint8), 'mono8')
    for _ in range(2):
        assert error(peer, prefix, plain(pixels, name), plain(pixels, meant), fault) == 0
    assert raw.text().count(f"{camera} sends encoding '{name}'") == 1


def test_a_depth_image_is_refused_with_the_remedy(raw: RunningNode, peer: Peer) -> None:
    peer.depth_of(plain(RGB, 'rgb8'), '/raw/ten/')
    peer.send('/raw/ten/image', plain(np.zeros((HEIGHT, WIDTH), np.uint16), '16UC1'))
    raw.wait_for("encoding '16UC1' is what depth cameras send: remap the input")


@pytest.mark.parametrize(('kind', 'form'), [
    ('.jpg', 'bayer_rggb8; jpeg compressed '), ('.png', 'bayer_rggb8; png compressed ')])
def test_a_mosaic_is_shown_to_the_network_in_colours(zipped: RunningNode, peer: Peer, kind: str,
                                                     form: str) -> None:
    mosaic = RGB[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = RGB[::2, ::2, 0], RGB[1::2, 1::2, 2]
    meant = packed('.png', RGB[:, :, ::-1], 'rgb8; png compressed bgr8')
    fault = packed('.png', mosaic, 'png')
    options = [cv2.IMWRITE_JPEG_QUALITY, 100] if kind == '.jpg' else []
    sent = packed(kind, mosaic, form, *options)
    assert error(peer, '/zip/', sent, meant, fault) < CLOSE


def broken() -> dict[str, CompressedImage]:
    detailed = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    base = packed('.jpg', detailed, 'bgr8; jpeg compressed bgr8')
    restarts = packed('.jpg', detailed, 'bgr8; jpeg compressed bgr8',
                      cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    late = packed('.jpg', detailed, 'bgr8; jpeg compressed bgr8', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    whole, middle = bytes(base.data), len(base.data) // 2
    base.data = whole[:middle] + whole[middle + 2000:]
    restarts.data = bytes(restarts.data).replace(b'\xff\xd3', b'\xff\xd5')
    late.data = bytes(late.data)[:len(late.data) * 4 // 5] + b'\xff\xd9'
    return {
        'bytes missing': base, 'restart markers out of order': restarts, 'scan cut': late,
        'a colour picture for a mosaic': packed('.jpg', RGB, 'bayer_rggb8; jpeg compressed '),
        'depth': stamped(CompressedImage(format='16UC1; compressedDepth png', data=bytes(99)))}


def dropped(peer: Peer) -> int:
    """Return how many frames of the second node were undecodable, from its next diagnostics."""
    seen = peer.listen('/diagnostics', DiagnosticArray)
    seen.clear()
    while True:
        peer.until(lambda: bool(seen))
        for status in seen.pop().status:
            if status.name.startswith('/zip/') and status.name.endswith('camera'):
                values = {pair.key: pair.value for pair in status.values}
                return int(values.get('dropped_undecodable', 0))


def test_a_picture_that_would_be_made_up_is_undecodable(zipped: RunningNode, peer: Peer) -> None:
    good = packed('.jpg', RGB, 'jpeg')
    peer.depth_of(good, '/zip/')
    before, bad = dropped(peer), broken()
    for message in bad.values():
        peer.send('/zip/image/compressed', message)
        peer.spin_for(0.1)
        peer.depth_of(stamped(good), '/zip/')
    depths = [depth.header for depth in peer.seen['/zip/depth/image_rect']]
    assert [name for name, message in bad.items() if message.header in depths] == []
    assert dropped(peer) == before + len(bad)
    assert zipped.process.poll() is None and 'Traceback' not in zipped.text()
