"""What a file is, found out while the program still starts: that takes as long as loading NumPy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot.listing import Stamp, stamp_of
from detectors.digest import sha256_file

_STEP = 8 << 20  # bytes: beside a thread that is busy each step may have to wait for its turn


@dataclass(frozen=True, slots=True)
class Identity:
    """A file as it was at one moment.

    Attributes:
        stamp: its state before a byte of it was read; None where there was no file.
        digest: gives the SHA-256 of its bytes, and waits for it. DataError where they cannot be read.
    """

    stamp: Stamp | None
    digest: Callable[[], str]


def begin(path: Path) -> Identity:
    """Start to read a local file, or a folder of parts, in a thread that ends with the process."""
    stamp, found = stamp_of(path), list[str]()

    def read() -> None:
        with suppress(Exception):  # raised by whoever reads it again
            found.append(sha256_file(path, _STEP))

    thread = threading.Thread(target=read, name="identity", daemon=True)
    thread.start()

    def digest() -> str:
        thread.join()
        return found[0] if found else sha256_file(path)

    return Identity(stamp, digest)
