# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """
    Write a file under a name that no other call takes, then give it its own.

    :param data: text is written as UTF-8.
    :raises OSError: when it cannot be written; what was there before stays.
    """
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex[:12]}.tmp')
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
