"""A CSV or Parquet file, a folder of them, or a frame, as a bounded-memory stream of columns; each bad file has its
outcome.

Outcomes are `DataError.kind`: empty_file, no_rows, truncated, unreadable, malformed, bomb, columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import survives_as_number, unique_names
from detectors.chunks import Advance, Chunk, Stream
from detectors.columns import series_categories, series_numbers
from detectors.csv_source import csv_stream, csv_table
from detectors.errors import DataError
from detectors.location import Location, location
from detectors.objects import ObjectPath
from detectors.parquet_source import is_parquet, parquet_stream, parquet_table
from detectors.parts import advance_within, check_columns, is_folder, parts_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Advance",
    "Chunk",
    "Progress",
    "Stream",
    "header_of",
    "read_frame",
    "stream",
]

Progress = Callable[[str], None]  # one short plain sentence a step

_ROWS = 1 << 16  # rows a chunk of a frame


def stream(
    source: Location | str | pd.DataFrame,
    numeric: frozenset[str],
    categorical: frozenset[str],
    *,
    progress: Advance | None = None,
) -> Stream:
    """The columns of a file (.csv, .csv.gz, .csv.zst, .parquet), folder of files or frame, in blocks of bounded size.

    Args:
        source: path, URL in a store (s3://…) or frame.
        numeric: columns to read as numbers; cells that are none become NaN and are counted.
        categorical: columns to read as categories. Columns in neither set are not converted at all.
        progress: told how far the reading of a file has come.

    Raises:
        DataError: the source cannot be used; also while iterating.
    """
    if not isinstance(source, (str, Path, ObjectPath)):
        return _frame_stream(source, numeric, categorical)
    path = location(source)
    if is_folder(path):
        return _folder_stream(path, numeric, categorical, progress)
    if is_parquet(path):
        return parquet_stream(path, numeric, categorical, progress)
    return csv_stream(path, numeric, categorical, progress)


def read_frame(
    paths: Location | str | Sequence[Location | str],
    *,
    categorical: Collection[str] = (),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Whole files, or folders of parts, as one frame, in the order given; for fitting and training.

    Header names are read as in `stream`. A column in which at least nine of ten filled cells are numbers
    becomes float64 with NaN for the others; `frame.attrs["notes"]` says so, and what else was read in a
    certain way. Columns named `categorical` keep codes such as the postcode 01234 as they are written.

    Raises:
        DataError: a file cannot be used, or ("columns") its columns are not those of the first file.
    """
    files = [location(p) for p in ([paths] if isinstance(paths, (str, Path, ObjectPath)) else paths)]
    if not files:
        raise DataError("unreadable", "no file was named")
    import pandas as pd

    frames: list[pd.DataFrame] = []
    notes: dict[str, None] = {}  # keeps the order, says each thing once
    for file in files:
        if progress is not None:
            progress(f"reading {file.name}")
        for path, frame, said in _tables(file, categorical):
            if frames:
                check_columns(list(frame.columns), list(frames[0].columns), path, files[0])
                frame = frame[list(frames[0].columns)]
            frames.append(frame)
            notes.update(dict.fromkeys(said))
    whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    for name in whole.columns:
        if name in categorical:
            _plain_numbers(whole, name)
        elif not pd.api.types.is_numeric_dtype(whole[name].dtype) and (
            said_here := _mostly_numbers(whole, name)
        ):
            notes[said_here] = None
    whole.attrs["notes"] = list(notes)
    return whole


def header_of(path: Location | str) -> tuple[str, ...]:
    """The column names of a file, stripped, repeated ones numbered."""
    return stream(path, frozenset(), frozenset()).columns


def _tables(
    path: Location, categorical: Collection[str]
) -> Iterator[tuple[Location, pd.DataFrame, list[str]]]:
    """A file as a frame with its notes; a folder as those of its parts, of which some may be without rows."""
    if not is_folder(path):
        yield path, *(parquet_table(path) if is_parquet(path) else csv_table(path, categorical))
        return
    empty = True
    for part in parts_of(path):
        try:
            yield from _tables(part.path, categorical)
            empty = False
        except DataError as error:
            if error.kind != "no_rows":
                raise
    if empty:
        raise DataError("no_rows", f"none of the parts of {path} has rows")


def _mostly_numbers(frame: pd.DataFrame, name: str) -> str:
    """Turn a text column of numbers with a few other cells into numbers; what was done, or empty."""
    column = frame[name]
    filled = int(column.notna().sum())
    if not filled or column.dtype.kind not in "OTU":
        return ""
    floats, bad = series_numbers(column)
    if bad > 0.1 * filled or not np.isfinite(floats).any():
        return ""
    frame[name] = floats
    return (
        f'column "{name}": {bad:,} of {filled:,} cells are no numbers and were read as missing' if bad else ""
    )


def _plain_numbers(frame: pd.DataFrame, name: str) -> None:
    """A column of categories that are all plain numbers becomes numeric again; in place."""
    words = [value for value in frame[name].unique() if isinstance(value, str)]
    if words and all(survives_as_number(word) for word in words):
        frame[name] = series_numbers(frame[name])[0]


def _folder_stream(
    folder: Path, numeric: frozenset[str], categorical: frozenset[str], progress: Advance | None
) -> Stream:
    parts = parts_of(folder)
    first = stream(parts[0].path, numeric, categorical)

    def chunks(found: Stream) -> Iterator[Chunk]:
        for part in parts:
            advance = advance_within(parts, part, progress)
            one = stream(part.path, numeric, categorical, progress=advance)
            check_columns(one.columns, first.columns, one.name, first.name)
            one.part = True
            try:
                yield from one
            except DataError as error:
                if error.kind != "no_rows":  # a part may be without rows
                    raise
            found.notes[:] = dict.fromkeys(found.notes + one.notes)  # each thing once
            found.malformed_rows += one.malformed_rows

    return Stream(str(folder), first.columns, chunks, list(first.notes))


def _frame_stream(frame: pd.DataFrame, numeric: frozenset[str], categorical: frozenset[str]) -> Stream:
    columns, notes = unique_names(str(c) for c in frame.columns)
    at = {name: i for i, name in enumerate(columns)}

    def chunks(found: Stream) -> Iterator[Chunk]:
        for start in range(0, len(frame), _ROWS):
            part = frame.iloc[start : start + _ROWS]
            numbers: dict[str, np.ndarray] = {}
            invalid: dict[str, int] = {}
            for name in (c for c in columns if c in numeric):
                numbers[name], bad = series_numbers(part.iloc[:, at[name]])
                if bad:
                    invalid[name] = bad
            words = {c: series_categories(part.iloc[:, at[c]]) for c in columns if c in categorical}
            yield Chunk(len(part), numbers, invalid, words)

    return Stream("the frame", columns, chunks, list(notes))
