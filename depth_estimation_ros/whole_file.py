# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """
    Write a file under another name, then give it its own.

    :param data: text is written as UTF-8.
    :raises OSError: when it cannot be written; what was there before stays.
    """
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}-', dir=path.absolute().parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data.encode() if isinstance(data, str) else data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
