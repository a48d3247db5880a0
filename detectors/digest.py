"""What identifies a file: its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from detectors.errors import DataError


def sha256_file(path: Path | str) -> str:
    """SHA-256 of the file's bytes, in hex."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be read: {error.strerror or error}") from None
