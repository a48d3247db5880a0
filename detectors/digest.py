"""What identifies a file: its bytes."""

from __future__ import annotations

import hashlib

from detectors.errors import DataError
from detectors.location import Location, location


def sha256_file(path: Location | str) -> str:
    """SHA-256 of the file's bytes, in hex."""
    try:
        with location(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be read: {error.strerror or error}") from None
