"""Where a file lies: a path of this machine, or an object in a store that is named by its URL."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from detectors.objects import ObjectPath

Location = Path | ObjectPath

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: object) -> bool:
    """Whether this names something in a store, not on this machine."""
    return isinstance(text, str) and _URL.match(text) is not None


def location(where: Location | str) -> Location:
    """What a path or a URL names.

    Raises:
        DataError: no such store is known, or its extra is not installed.
    """
    if not isinstance(where, str):
        return where
    return ObjectPath.named(where) if is_url(where) else Path(where)


def write_whole(path: Location, data: bytes) -> None:
    """Write a file or an object at once or not at all."""
    if isinstance(path, ObjectPath):
        path.write_bytes(data)
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
