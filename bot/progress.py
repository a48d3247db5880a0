"""A progress bar on a terminal while a large file is read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from detectors.errors import DataError
from detectors.location import Location
from detectors.parts import is_folder, parts_of
from detectors.source import Advance

WORTH_A_BAR = 20_000_000  # bytes; smaller files are read before a bar could be drawn


@contextmanager
def reading(file: Location) -> Iterator[Advance | None]:
    """A callback for (bytes read, bytes in all), or None where a bar would be in the way."""
    if not sys.stderr.isatty() or (size := _size(file)) < WORTH_A_BAR:
        yield None
        return
    with click.progressbar(length=size, label=f"reading {file.name}", file=sys.stderr) as bar:
        done = 0

        def advance(position: int, total: int) -> None:
            nonlocal done
            bar.length = total
            if position > done:  # a file that is read a second time does not pull the bar back
                bar.update(position - done)
                done = position

        yield advance


def _size(file: Location) -> int:
    """Bytes of a file or of a folder's parts; 0 of what cannot be read: who reads it says why."""
    try:
        return sum(part.size for part in parts_of(file)) if is_folder(file) else file.stat().st_size
    except (OSError, DataError):
        return 0
