"""A CSV or Parquet file, or a frame, as a bounded-memory stream of columns; each bad file has its outcome.

Outcomes are `DataError.kind`: empty_file, no_rows, truncated, unreadable, malformed, bomb, columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from detectors.cells import NULLS, some_names, survives_as_number, unique_names
from detectors.columns import (
    arrow_categories,
    arrow_numbers,
    series_categories,
    series_numbers,
    to_series,
)
from detectors.errors import DataError
from detectors.textfile import TextFile

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Advance",
    "Chunk",
    "Progress",
    "Stream",
    "header_of",
    "read_frame",
    "series_categories",
    "series_numbers",
    "sha256_file",
    "stream",
]

Progress = Callable[[str], None]  # one short plain sentence a step
Advance = Callable[[int, int], None]  # bytes read from the disk so far, and in all

_BLOCK = 4 << 20
_ROWS = 1 << 16  # rows a chunk of a Parquet file or frame
_MAX_MALFORMED = 0.05
_MAX_RESTARTS = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows.

    Attributes:
        rows: how many.
        numeric: feature -> float64, shape (rows,); NaN is missing, infinities are kept.
        invalid: feature -> cells that are not numbers (they are NaN in `numeric`); only where there are any.
        categorical: feature -> object array of str or None, shape (rows,).
    """

    rows: int
    numeric: dict[str, np.ndarray]
    invalid: dict[str, int]
    categorical: dict[str, np.ndarray]


@dataclass(slots=True)
class Stream:
    """The chunks of one source, to be iterated once; the other attributes are final after the iteration.

    Attributes:
        name: what the source is called in messages.
        columns: all header names, stripped, repeated ones numbered.
        notes: what was read on purpose in a certain way.
        errors: what could not be read, one sentence each.
        malformed_rows: rows with the wrong number of cells, which were left out.
        rows: rows read.
    """

    name: str
    columns: tuple[str, ...]
    chunks: Callable[[Stream], Iterator[Chunk]] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    malformed_rows: int = 0
    rows: int = 0

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self.chunks(self):
            self.rows += chunk.rows
            yield chunk
        if self.malformed_rows:
            _judge_malformed(self)
        if not self.rows:
            raise DataError("no_rows", f"{self.name} has a header but no rows: nothing to measure")


def stream(
    source: Path | str | pd.DataFrame,
    numeric: frozenset[str],
    categorical: frozenset[str],
    *,
    progress: Advance | None = None,
) -> Stream:
    """The columns of a file (.csv, .csv.gz, .csv.zst, .parquet) or frame, in blocks of bounded size.

    Args:
        source: path or frame.
        numeric: columns to read as numbers; cells that are none become NaN and are counted.
        categorical: columns to read as categories. Columns in neither set are not converted at all.
        progress: told how far the reading of a file has come; it starts anew where a column turns out to be text.

    Raises:
        DataError: the source cannot be used; also while iterating.
    """
    if not isinstance(source, (str, Path)):
        return _frame_stream(source, numeric, categorical)
    path = Path(source)
    if _is_parquet(path):
        return _parquet_stream(path, numeric, categorical, progress)
    return _csv_stream(path, numeric, categorical, progress)


def read_frame(
    paths: Path | str | Sequence[Path | str],
    *,
    categorical: Collection[str] = (),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Whole files as one frame, in the order given; for fitting and training.

    Header names are read as in `stream`. A column in which at least nine of ten filled cells are numbers
    becomes float64 with NaN for the others; `frame.attrs["notes"]` says so, and what else was read in a
    certain way. Columns named `categorical` keep codes such as the postcode 01234 as they are written.

    Raises:
        DataError: a file cannot be used, or ("columns") its columns are not those of the first file.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not files:
        raise DataError("unreadable", "no file was named")
    import pandas as pd

    frames: list[pd.DataFrame] = []
    notes: dict[str, None] = {}  # keeps the order, says each thing once
    for file in files:
        if progress is not None:
            progress(f"reading {file.name}")
        frame, said = _parquet_table(file) if _is_parquet(file) else _csv_table(file, categorical)
        if frames:
            frame = _same_columns(frame, frames[0], file, files[0])
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


def header_of(path: Path | str) -> tuple[str, ...]:
    """The column names of a file, stripped, repeated ones numbered."""
    return stream(path, frozenset(), frozenset()).columns


def sha256_file(path: Path | str) -> str:
    """SHA-256 of the file's bytes, in hex."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be read: {error.strerror or error}") from None


def _judge_malformed(found: Stream) -> None:
    bad, total = found.malformed_rows, found.malformed_rows + found.rows
    wrong = f"{bad:,} of {total:,} rows do not have {len(found.columns)} cells"
    if bad > _MAX_MALFORMED * total:
        raise DataError("malformed", f"{found.name}: {wrong}: check the delimiter and the quotes")
    found.errors.append(f"{found.name}: {wrong} and were left out")


def _same_columns(frame: pd.DataFrame, first: pd.DataFrame, file: Path, first_file: Path) -> pd.DataFrame:
    missing = [c for c in first.columns if c not in frame.columns]
    extra = [c for c in frame.columns if c not in first.columns]
    if missing or extra:
        parts = [f"lacks {some_names(missing)}"] * bool(missing) + [f"has {some_names(extra)} more"] * bool(
            extra
        )
        raise DataError(
            "columns", f"{file} does not have the columns of {first_file}: it {' and '.join(parts)}"
        )
    return frame[list(first.columns)]


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


# --- CSV ---


def _plain_numbers(frame: pd.DataFrame, name: str) -> None:
    """A column of categories that are all plain numbers becomes numeric again; in place."""
    words = [value for value in frame[name].unique() if isinstance(value, str)]
    if words and all(survives_as_number(word) for word in words):
        frame[name] = series_numbers(frame[name])[0]


def _csv_table(path: Path, categorical: Collection[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Numbers are what `stream` takes for numbers; everything else is text. (pyarrow would also see times, dates
    and hexadecimal numbers, which no batch is read with.)"""
    types: dict[str, pa.DataType] = {}
    while True:
        try:
            return _csv_table_as(path, types, frozenset(categorical))
        except pa.ArrowInvalid as error:
            failed = [c for i, c in enumerate(types) if f"CSV column #{i}:" in str(error)]
            if not failed or types[failed[0]] == pa.binary():
                raise DataError("unreadable", f"{path} cannot be parsed as CSV: {error}") from None
            types[failed[0]] = pa.string() if types[failed[0]] == pa.float64() else pa.binary()


def _guess(kind: pa.DataType) -> pa.DataType:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    return pa.float64() if number else pa.string()


def _csv_table_as(
    path: Path, types: dict[str, pa.DataType], categorical: frozenset[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The table with columns of these types; where there are none yet they are guessed from the first block."""
    from pyarrow import csv

    def reading(text: TextFile, reader: Any) -> Any:
        return reader(
            pa.PythonFile(text, "r"),
            read_options=csv.ReadOptions(column_names=list(text.columns), block_size=_BLOCK),
            parse_options=_parse_options(text, invalid_row),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=list(NULLS), strings_can_be_null=True
            ),
        )

    def invalid_row(_row: Any) -> str:
        found.malformed_rows += 1
        return "skip"

    with TextFile(path) as text:
        found = Stream(str(path), text.columns, lambda _: iter(()), list(text.notes))
        try:
            if not types:
                with TextFile(path) as peek:
                    for field_ in reading(peek, csv.open_csv).schema:
                        types[field_.name] = (
                            pa.string() if field_.name in categorical else _guess(field_.type)
                        )
                found.malformed_rows = 0
            table = reading(text, csv.read_csv)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise
            table = pa.table({})
        text.check_end()
    found.rows = table.num_rows
    found.notes.extend(_quoted_lines(text, found.rows + found.malformed_rows))
    if found.malformed_rows:
        _judge_malformed(found)
    if not found.rows:
        raise DataError("no_rows", f"{path} has a header but no rows")
    return _to_pandas(table, found.columns), found.notes + found.errors


def _to_pandas(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {name: to_series(column) for name, column in zip(columns, table.columns, strict=True)}
    )


def _csv_stream(
    path: Path, numeric: frozenset[str], categorical: frozenset[str], progress: Advance | None
) -> Stream:
    with TextFile(path) as text:
        columns, notes = text.columns, list(text.notes)
    wanted = [c for c in columns if c in numeric or c in categorical]

    def chunks(found: Stream) -> Iterator[Chunk]:
        texts: set[str] = {c for c in wanted if c in categorical}  # columns read as text
        done, restarts = 0, 0
        while True:
            found.malformed_rows = 0
            try:
                for chunk in _csv_chunks(path, found, wanted, texts, numeric, done, progress):
                    done += chunk.rows
                    yield chunk
                return
            except pa.ArrowInvalid as error:
                # A cell is not of the type of its column. Read that column as text from here on; after a few
                # such columns, all of them. Rows that were handed out already are skipped.
                before = len(texts)
                texts |= (
                    set(wanted)
                    if restarts >= _MAX_RESTARTS
                    else {c for c in wanted if _fails(error, columns, c)}
                )
                if len(texts) == before:
                    texts |= set(wanted)
                if len(texts) == before:
                    raise DataError("unreadable", f"{path} cannot be parsed as CSV: {error}") from None
                restarts += 1

    return Stream(str(path), columns, chunks, notes)


def _fails(error: pa.ArrowInvalid, columns: Sequence[str], name: str) -> bool:
    return f"CSV column #{columns.index(name)}:" in str(error)  # pyarrow counts from 0


def _csv_chunks(
    path: Path,
    found: Stream,
    wanted: list[str],
    texts: set[str],
    numeric: frozenset[str],
    skip: int,
    progress: Advance | None,
) -> Iterator[Chunk]:
    from pyarrow import csv

    with TextFile(path, progress) as text:

        def invalid_row(_row: Any) -> str:
            found.malformed_rows += 1
            return "skip"

        words = pa.dictionary(pa.int32(), pa.binary())
        # a column must be converted for rows to be counted at all
        keep = wanted or [text.columns[0]]
        try:
            reader = csv.open_csv(
                pa.PythonFile(text, "r"),
                read_options=csv.ReadOptions(column_names=list(text.columns), block_size=_BLOCK),
                parse_options=_parse_options(text, invalid_row),
                convert_options=csv.ConvertOptions(
                    column_types={
                        c: pa.float64() if c in numeric and c not in texts else words for c in keep
                    },
                    include_columns=keep,
                    null_values=list(NULLS),
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise
            text.check_end()
            return
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            dropped = min(skip, batch.num_rows)
            skip -= dropped
            if batch.num_rows > dropped:
                yield _chunk(batch.slice(dropped), wanted, wanted, numeric)
        text.check_end()
        found.notes.extend(_quoted_lines(text, rows + found.malformed_rows))


def _quoted_lines(text: TextFile, rows: int) -> list[str]:
    """A stray pair of quotes makes one cell of all the rows between them; so may a text with line breaks."""
    lines = text.lines_within_cells(rows)
    if not lines:
        return []
    return [f"{text.path}: {lines:,} line breaks lie within quoted cells: check the quotes if none should"]


def _parse_options(text: TextFile, invalid_row: Callable[[Any], str]) -> Any:
    from pyarrow import csv

    return csv.ParseOptions(
        delimiter=text.delimiter,
        newlines_in_values=True,
        invalid_row_handler=invalid_row,
        ignore_empty_lines=True,
    )


def _chunk(batch: pa.RecordBatch, raw: list[str], names: list[str], numeric: frozenset[str]) -> Chunk:
    """Arrow columns `raw` as a Chunk under the given names."""
    numbers: dict[str, np.ndarray] = {}
    invalid: dict[str, int] = {}
    categories: dict[str, np.ndarray] = {}
    for column, name in zip(raw, names, strict=True):
        values = batch.column(column)
        if name not in numeric:
            categories[name] = arrow_categories(values)
            continue
        numbers[name], bad = arrow_numbers(values)
        if bad:
            invalid[name] = bad
    return Chunk(batch.num_rows, numbers, invalid, categories)


# --- Parquet ---


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return True
    except OSError:
        return False  # the text reader says why
    if path.suffix == ".parquet" and path.stat().st_size:
        raise DataError("unreadable", f"{path} is named .parquet but is no Parquet file")
    return False


def _open_parquet(path: Path) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "truncated", f"{path} is a damaged or cut off Parquet file ({error}): write it again"
        ) from None


def _parquet_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with _open_parquet(path) as file:
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise DataError("truncated", f"{path} is damaged ({error}): write it again") from None
    if not table.num_rows:
        raise DataError("no_rows", f"{path} has columns but no rows")
    columns, notes = unique_names(table.schema.names)
    return _to_pandas(table, columns), list(notes)


def _parquet_stream(
    path: Path, numeric: frozenset[str], categorical: frozenset[str], progress: Advance | None
) -> Stream:
    raw = _open_parquet(path).schema_arrow.names
    columns, notes = unique_names(raw)
    at = [i for i, c in enumerate(columns) if c in numeric or c in categorical]
    names = [columns[i] for i in at]

    def chunks(found: Stream) -> Iterator[Chunk]:
        with _open_parquet(path) as file:
            total, size = file.metadata.num_rows, path.stat().st_size
            read = 0
            try:
                for batch in file.iter_batches(_ROWS, columns=[raw[i] for i in at]):
                    there = set(batch.schema.names)  # a batch keeps the file's order, and twins come together
                    place = {i: k for k, i in enumerate(i for i, name in enumerate(raw) if name in there)}
                    picked = pa.RecordBatch.from_arrays([batch.column(place[i]) for i in at], names=names)
                    read += batch.num_rows
                    if progress is not None:
                        progress(size * read // total, size)
                    yield _chunk(picked, names, names, numeric) if at else Chunk(batch.num_rows, {}, {}, {})
            except (pa.ArrowException, OSError) as error:
                raise DataError("truncated", f"{path} is damaged ({error}): write it again") from None

    return Stream(str(path), columns, chunks, list(notes))


# --- a frame in memory ---


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
