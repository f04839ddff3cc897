# SPDX-License-Identifier: Apache-2.0
"""Between a message's bytes and its fields, by the definition in the recording or the standard."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)

from .errors import RecordingError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
HEADER = 'std_msgs/msg/Header'
COMPRESSED_VIDEO = 'foxglove_msgs/msg/CompressedVideo'
FFMPEG_PACKET = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'

COMMON = {
    COMPRESSED_VIDEO: 'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\n'
                      'string format\n',
    FFMPEG_PACKET: 'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\n'
                   'uint64 pts\nuint8 flags\nbool is_bigendian\nuint8[] data\n',
}
"""Types that ROS 2 does not come with, for recordings without definitions."""

MALFORMED = (SerdeError, TypesysError, struct.error, ValueError, KeyError, IndexError)
"""What rosbags raises for bytes that are not a message of the type they are declared to be."""


@cache
def standard_types() -> Any:
    """Return the store of the message types that come with ROS 2."""
    return get_typestore(Stores.ROS2_JAZZY)


def normalised(name: str) -> str:
    """Spell a type's name as ROS 2 does: package/msg/Name, from ROS 1's or DDS's spelling."""
    parts = re.sub(r'::dds_::(\w+)_$', r'::\1', name).replace('::', '/').split('/')
    return '/'.join([parts[0], 'msg', parts[1]] if len(parts) == 2 else parts)


class Types:
    """Decodes messages; a type's definition in the recording goes before the standard one."""

    def __init__(self, definitions: Mapping[str, str] | None = None) -> None:
        """
        Keep the definitions; each is parsed when its type is first decoded.

        :param definitions: text in .msg or IDL syntax, with what it depends on, by type.
        """
        self._definitions = definitions or {}
        self._stores: dict[str, Any] = {}

    @cached_property
    def converted(self) -> Types:
        """The types of the messages that from_ros1 gives: ROS 2's where it has them."""
        known = standard_types().fielddefs
        return Types({kind: text for kind, text in self._definitions.items() if kind not in known})

    def converted_definition(self, kind: str) -> str:
        """Return the definition of what from_ros1 gives, as .msg; '' where ROS 2 has the type."""
        store = self._store(kind)
        if kind in standard_types().fielddefs or kind not in store.fielddefs:
            return ''
        return str(store.generate_msgdef(kind, ros_version=2)[0])

    def decode(self, data: bytes, kind: str) -> Any:
        """
        Return a message as an object with the type's fields; arrays are NumPy's.

        :param data: CDR.
        :param kind: the type, package/msg/Name.
        :raises RecordingError: when the type is unknown or the bytes are no such message.
        """
        try:
            return self._store(kind).deserialize_cdr(data, kind)
        except MALFORMED as error:
            raise RecordingError(f'{len(data)} bytes are no {kind}: {error}') from error

    def from_ros1(self, data: bytes, kind: str) -> bytes:
        """Convert a message from ROS 1's serialisation to CDR; raises as decode does."""
        try:
            return bytes(self._store(kind).ros1_to_cdr(data, kind))
        except MALFORMED as error:
            raise RecordingError(f'{len(data)} bytes are no {kind} of ROS 1: {error}') from error

    def _store(self, kind: str) -> Any:
        if kind not in self._stores:
            self._stores[kind] = store_of(kind, self._definitions.get(kind, ''))
        return self._stores[kind]


def fields_of(kind: str, definition: str) -> str:
    """Return what types of the same fields share; the definition where that is not understood."""
    store = store_of(kind, definition)
    try:
        return str(store.hash_rihs01(kind))
    except MALFORMED:
        return definition


def store_of(kind: str, definition: str) -> Any:
    """Return a store with a type as it is defined; the standard one where it is not."""
    definition = definition if definition.strip() else COMMON.get(kind, '')
    definition = definition.replace('\r\n', '\n')
    if not definition:
        return standard_types()
    store = get_typestore(Stores.EMPTY)
    try:
        parsed = {name: _respelled(name, *fields)
                  for name, fields in _parsed(definition, kind).items()}
        # ROS 1's has a field that rosbags drops when it converts, and COMMON holds none
        parsed[HEADER] = standard_types().fielddefs[HEADER]
        store.register(parsed)
        store.generate_msgdef(kind, ros_version=2)  # raises where a type that it has is not there
    except MALFORMED:
        return standard_types()
    return store if kind in store.types else standard_types()


def _respelled(kind: str, constants: Any, fields: Any) -> tuple[Any, Any]:
    """Spell the fields of a standard type as ROS 2 does: CameraInfo's D, K, R, P in lower case."""
    names = {name.lower(): name for name, _ in standard_types().fielddefs.get(kind, ([], []))[1]}
    if len({name.lower() for name, _ in fields}) < len(fields):
        return constants, fields
    return constants, [(names.get(name.lower(), name), description)
                       for name, description in fields]


def _parsed(definition: str, kind: str) -> Any:
    rule = '=' * 80 + '\n'
    if definition.startswith(f'{rule}IDL: '):
        parts = [get_types_from_idl(part.partition('\n')[2])
                 for part in definition.split(rule)[1:]]
        return {name: fields for part in parts for name, fields in part.items()}
    if re.search(r'^\s*module\s+\w+', definition, re.MULTILINE):
        return get_types_from_idl(definition)
    return get_types_from_msg(definition, kind)
