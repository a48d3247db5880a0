"""A delimited text file as a stream of chunks, or as one frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from detectors.cells import NULLS
from detectors.chunks import Advance, Chunk, Stream, chunk_of, judge_malformed, to_pandas
from detectors.errors import DataError
from detectors.textfile import TextFile

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 4 << 20
_MAX_RESTARTS = 4


def csv_table(path: Path, categorical: Collection[str] = ()) -> tuple[pd.DataFrame, list[str]]:
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
        judge_malformed(found)
    if not found.rows:
        raise DataError("no_rows", f"{path} has a header but no rows")
    return to_pandas(table, found.columns), found.notes + found.errors


def csv_stream(
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
                yield chunk_of(batch.slice(dropped), wanted, wanted, numeric)
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
