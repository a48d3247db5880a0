"""What identifies a file: its bytes; a folder of parts: their names and bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from detectors.errors import DataError
from detectors.parts import parts_of


def sha256_file(path: Path | str) -> str:
    """SHA-256 of the file's bytes, in hex; of a folder, of what `sha256sum *` would print of its parts."""
    try:
        if Path(path).is_dir():
            lines = (f"{sha256_file(part.path)}  {part.path.name}\n" for part in parts_of(Path(path)))
            return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be read: {error.strerror or error}") from None
