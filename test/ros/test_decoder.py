# SPDX-License-Identifier: Apache-2.0
"""One camera's decoder: bits in use, assumed colours, webcams' padding; each said once."""

from __future__ import annotations

import logging
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from depth_estimation_ros.ros import codec, decoder, jpeg
from depth_estimation_ros.ros.decoder import HABIT, CameraDecoder

RAMP = np.linspace(0, 1, 48 * 64).reshape(48, 64)


def of_bits(bits: int, brightest: float = 1.0, encoding: str = 'mono16') -> Image:
    """Return a ramp of a sensor with so many bits, up to a share of its brightest value."""
    values = np.rint(RAMP * brightest * (2**bits - 1)).astype('<u2')
    channels = 1 if encoding.lower().startswith(('mono', 'bayer')) else 3
    data = values[:, :, None].repeat(channels, axis=2).tobytes()
    return Image(height=48, width=64, encoding=encoding, step=128 * channels, data=data)


def packed(message: Image, form: str = 'mono16; png compressed ') -> CompressedImage:
    values = np.frombuffer(message.data, np.uint16).reshape(message.height, -1)
    return CompressedImage(format=form, data=cv2.imencode('.png', values)[1].tobytes())


@pytest.fixture
def camera(caplog: pytest.LogCaptureFixture) -> CameraDecoder:
    caplog.set_level(logging.INFO)
    return CameraDecoder('front', codec.decode)


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'MONO16', 'rgb16', 'bgr16'])
def test_the_brightest_value_of_a_sensor_is_white(camera: CameraDecoder, encoding: str, bits: int,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        rgb = camera(of_bits(bits, encoding=encoding))
        assert np.abs(rgb - 255 * RAMP[:, :, None]).max() <= 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (bits < 16)
    assert all('front sends' in text and f'{bits} of its bits' in text for text in said)


def test_a_mosaic_of_12_bits_is_as_bright_as_one_of_8(camera: CameraDecoder) -> None:
    wide = camera(of_bits(12, encoding='bayer_grbg16'))
    assert np.abs(wide - 255 * RAMP[:, :, None]).max() <= 6


def test_a_compressed_image_of_12_bits_likewise(camera: CameraDecoder) -> None:
    assert np.abs(camera(packed(of_bits(12))) - 255 * RAMP[:, :, None]).max() <= 1


def test_bits_grow_with_the_brightest_image_and_never_shrink(
        camera: CameraDecoder, caplog: pytest.LogCaptureFixture) -> None:
    dark = of_bits(12, 0.2)
    assert camera(dark).max() == round(255 * 819 / 1023)
    camera(of_bits(12))
    for _ in range(3):
        assert abs(int(camera(dark).max()) - 0.2 * 255) <= 1
    assert len(caplog.records) == 2


def test_a_black_image_decides_nothing(camera: CameraDecoder,
                                       caplog: pytest.LogCaptureFixture) -> None:
    assert camera(of_bits(12, 0)).max() == 0 and not caplog.records
    assert camera(of_bits(12)).max() == 255


def test_values_aligned_to_the_left_use_all_bits(camera: CameraDecoder) -> None:
    values = np.rint(RAMP * 4095).astype('<u2') << 4
    message = Image(height=48, width=64, encoding='mono16', step=128, data=values.tobytes())
    assert np.abs(camera(message) - 255 * RAMP[:, :, None]).max() <= 1


def test_another_encoding_starts_anew(camera: CameraDecoder) -> None:
    camera(of_bits(16))
    assert camera(of_bits(10, encoding='rgb16')).max() == 255


def test_cameras_know_nothing_of_each_other(camera: CameraDecoder) -> None:
    camera(of_bits(16))
    assert CameraDecoder('rear', codec.decode)(of_bits(10)).max() == 255


@pytest.mark.parametrize(('name', 'meant', 'channels'), [
    ('8UC1', 'mono8', 1), ('8UC3', 'bgr8', 3), ('8uc4', 'bgra8', 4)])
def test_an_encoding_without_colours_is_assumed_and_said_once(
        camera: CameraDecoder, name: str, meant: str, channels: int,
        caplog: pytest.LogCaptureFixture) -> None:
    data = np.random.default_rng(1).integers(0, 256, (5, 7 * channels), np.uint8).tobytes()
    sent = Image(height=5, width=7, encoding=name, step=7 * channels, data=data)
    for _ in range(3):
        rgb = camera(sent)
    sent.encoding = meant
    assert np.array_equal(rgb, codec.decode(sent))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert name in record.getMessage() and f'taken as {meant}' in record.getMessage()


def padded(number: int = 9) -> CompressedImage:
    pixels = np.rint(RAMP * 255).astype(np.uint8)
    data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes()
    place = data.index(b'\xff\xd3')
    return CompressedImage(format='jpeg', data=data[:place] + bytes(number) + data[place:])


def test_a_camera_that_pads_every_jpeg_is_served_after_a_while(
        camera: CameraDecoder, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(HABIT - 1):
        with pytest.raises(codec.CodecError, match='extraneous'):
            camera(padded())
    for _ in range(3):
        assert np.abs(camera(padded()) - 255 * RAMP[:, :, None]).max() < 30
    assert [record.levelname for record in caplog.records] == ['WARNING']
    with pytest.raises(codec.CodecError, match='extraneous'):
        camera(padded(100))


def test_one_sound_jpeg_shows_that_padding_is_damage(camera: CameraDecoder) -> None:
    for number in range(3 * HABIT):
        if number % 10:
            with pytest.raises(codec.CodecError, match='extraneous'):
                camera(padded())
        else:
            camera(padded(0))


def test_without_the_library_the_log_says_so_once(
        camera: CameraDecoder, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(jpeg, 'SIMPLEJPEG', None)
    decoder.warn_of_missing_library.cache_clear()
    for name in ('front', 'rear'):
        CameraDecoder(name, codec.decode)(padded(0))
    assert [record.getMessage() for record in caplog.records] == [jpeg.MISSING]


def test_raw_images_of_bytes_go_to_the_converter(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[Any] = []

    def convert(message: Any) -> Any:
        taken.append(message)
        return codec.decode(message)

    camera = CameraDecoder('', convert)
    camera(Image(height=1, width=1, encoding='rgb8', step=3, data=bytes(3)))
    camera(of_bits(16))
    camera(of_bits(10, encoding='bgr16'))
    assert [message.encoding for message in taken] == ['rgb8', 'mono16']
