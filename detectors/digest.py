"""What identifies a file: its bytes; a folder of parts: their names and bytes."""

from __future__ import annotations

import hashlib

from detectors.errors import DataError
from detectors.location import Location, location
from detectors.parts import is_folder, parts_of

_STEP = 256 << 10


def sha256_file(path: Location | str, step: int = _STEP) -> str:
    """SHA-256 of the file's bytes, in hex; of a folder, of what `sha256sum *` would print of its parts.

    So many bytes (`step`) are read at once.
    """
    path = location(path)
    try:
        if is_folder(path):
            lines = (f"{sha256_file(part.path, step)}  {part.path.name}\n" for part in parts_of(path))
            return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
        digest, some = hashlib.sha256(), memoryview(bytearray(step))
        with path.open("rb") as file:
            while size := file.readinto(some):
                digest.update(some[:size])
        return digest.hexdigest()
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be read: {error.strerror or error}") from None
