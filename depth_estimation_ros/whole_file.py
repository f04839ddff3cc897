# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path


def write_whole(path: Path, data: bytes | str, *, lasting: bool = True) -> None:
    """
    Write a file under a name that no other call takes, then give it its own.

    A symbolic link stays one: the file that it leads to is written.

    :param data: text is written as UTF-8.
    :param lasting: whether it must be whole after a power failure too, which takes the disk time.
    :raises OSError: when it cannot be written, or is a folder or device; what was there before
        stays.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, 'what is there is no regular file', str(path))
    temporary = target.with_name(f'.{uuid.uuid4().hex[:12]}.tmp')  # short, whatever the name is
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        if lasting:
            sync(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return once a file's content is on the disk; raises OSError where that cannot be."""
    with path.open('rb') as file:
        os.fsync(file.fileno())
