"""A delimited text file as a stream of chunks, or as one frame."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from detectors.cells import NULLS
from detectors.chunks import Advance, Chunk, Stream, chunk_of, in_order, judge_malformed, to_pandas
from detectors.errors import DataError
from detectors.location import Location
from detectors.textfile import TextFile

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 2 << 20  # bytes at once: their columns stay in the cache of a core
_COLUMN = 8 << 10  # and at least so many a column: what is done for each column of a block should be worth it
_MAX_RESTARTS = 4


def csv_table(path: Location, categorical: Collection[str] = ()) -> tuple[pd.DataFrame, list[str]]:
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
    path: Location, types: dict[str, pa.DataType], categorical: frozenset[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The table with columns of these types; where there are none yet they are guessed from the first block."""
    from pyarrow import csv

    def reading(text: TextFile, reader: Any) -> Any:
        return reader(
            pa.PythonFile(text, "r"),
            read_options=csv.ReadOptions(column_names=list(text.columns), block_size=_BLOCK),
            parse_options=_parse_options(text.delimiter, malformed, quoted=True),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=list(NULLS), strings_can_be_null=True
            ),
        )

    malformed = _Malformed()
    with TextFile(path) as text:
        found = Stream(str(path), text.columns, lambda _: iter(()), list(text.notes))
        try:
            if not types:
                with TextFile(path) as peek:
                    for field_ in reading(peek, csv.open_csv).schema:
                        types[field_.name] = (
                            pa.string() if field_.name in categorical else _guess(field_.type)
                        )
                malformed.rows = 0
            table = reading(text, csv.read_csv)
        except pa.ArrowInvalid as error:
            if not _nothing(error):
                raise
            table = pa.table({})
        text.check_end()
    found.rows = table.num_rows
    found.notes.extend(_quoted_lines(text, found.rows + malformed.rows))
    if malformed.rows:
        found.errors.append(judge_malformed(path, malformed.rows, found.rows, len(found.columns)))
    if not found.rows:
        raise DataError("no_rows", f"{path} has a header but no rows")
    return to_pandas(table, found.columns), found.notes + found.errors


def csv_stream(
    path: Location, numeric: frozenset[str], categorical: frozenset[str], progress: Advance | None
) -> Stream:
    """The columns of a delimited file: blocks of lines are parsed side by side, in the order of the file.

    A quoted cell may hold line breaks: from the first quote on, one parser reads what is left from front to back.
    """
    with TextFile(path) as text:
        columns, notes, delimiter = text.columns, list(text.notes), text.delimiter
    wanted = [c for c in columns if c in numeric or c in categorical]
    texts = frozenset(c for c in wanted if c in categorical)
    parser = _Parser(path, columns, delimiter, wanted, numeric, texts)

    def chunks(found: Stream) -> Iterator[Chunk]:
        with TextFile(path, progress) as text:
            if text.columns != columns:
                raise DataError("changed", f"{path} was written to while it was read: check it again")
            yield from _side_by_side(text, parser, found)
            done = text.done
        if done is not None:
            yield from _one_by_one(path, parser, found, done, progress)

    return Stream(str(path), columns, chunks, notes)


@dataclass(slots=True)
class _Parser:
    """How the cells of a file are read. A numeric column with a cell that is no number is read as text from then on;
    after a few such columns, all are.

    Attributes:
        texts: columns that are read as text.
        filled: every cell was a number so far (NaN is one). To look for the words for "no value" in each is up to a
            tenth of the work. Several threads may say at once that it is over.
    """

    path: Location
    columns: tuple[str, ...]
    delimiter: str
    wanted: list[str]
    numeric: frozenset[str]
    texts: frozenset[str]  # replaced, never changed: several threads read by it
    filled: bool = True
    restarts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def options(
        self, texts: frozenset[str], malformed: _Malformed, *, quoted: bool, filled: bool = False
    ) -> dict[str, Any]:
        """What pyarrow's readers are to do; with `filled` a cell that is no number is an error."""
        from pyarrow import csv

        # a column must be converted for rows to be counted at all
        keep, words = self.wanted or [self.columns[0]], pa.dictionary(pa.int32(), pa.binary())
        return {
            "parse_options": _parse_options(self.delimiter, malformed, quoted=quoted),
            "convert_options": csv.ConvertOptions(
                column_types={
                    c: pa.float64() if c in self.numeric and c not in texts else words for c in keep
                },
                include_columns=keep,
                null_values=[] if filled else list(NULLS),
                strings_can_be_null=True,
                check_utf8=False,
            ),
        }

    def read_options(self, size: int) -> Any:
        from pyarrow import csv

        return csv.ReadOptions(column_names=list(self.columns), block_size=size, use_threads=False)

    def chunk(self, batch: pa.RecordBatch) -> Chunk:
        return chunk_of(batch, self.wanted, self.wanted, self.numeric)

    def lines(self, block: memoryview) -> tuple[list[Chunk], int]:
        """Whole lines without quotes: their rows, and how many were left out."""
        from pyarrow import csv

        while True:
            texts, malformed = self.texts, _Malformed()
            filled = self.filled and not texts
            options = self.options(texts, malformed, quoted=False, filled=filled)
            try:
                table = csv.read_csv(
                    pa.BufferReader(block), read_options=self.read_options(len(block) + 1), **options
                )
            except pa.ArrowInvalid as error:
                if _nothing(error):
                    return [], malformed.rows
                if filled:
                    self.filled = False
                else:
                    self.read_as_text(error, texts)
                continue
            return [self.chunk(batch) for batch in table.to_batches() if batch.num_rows], malformed.rows

    def read_as_text(self, error: pa.ArrowInvalid, texts: frozenset[str]) -> None:
        """Read the column whose cell is not of its type as text; DataError where that is not the trouble.

        `texts` is what was read as text when it failed: another thread may have learned of it meanwhile.
        """
        failed = {c for c in self.wanted if f"CSV column #{self.columns.index(c)}:" in str(error)}
        if "conversion error" not in str(error) or (failed and failed <= texts) or texts >= set(self.wanted):
            raise DataError("unreadable", f"{self.path} cannot be parsed as CSV: {error}") from None
        with self.lock:
            self.restarts += not (failed and failed <= self.texts)
            if not failed or self.restarts > _MAX_RESTARTS:
                failed = set(self.wanted)
            self.texts |= failed


@dataclass(slots=True)
class _Malformed:
    """Leaves out rows of another length than the header, and counts them."""

    rows: int = 0

    def __call__(self, _row: Any) -> str:
        self.rows += 1
        return "skip"


def _side_by_side(text: TextFile, parser: _Parser, found: Stream) -> Iterator[Chunk]:
    size = max(_BLOCK, _COLUMN * len(parser.wanted))
    for chunks, malformed in in_order(partial(parser.lines, block) for block in text.blocks(size)):
        found.malformed_rows += malformed
        yield from chunks


def _one_by_one(
    path: Location, parser: _Parser, found: Stream, done: int, progress: Advance | None
) -> Iterator[Chunk]:
    """What lies behind the first `done` bytes after the header line."""
    rows, before = 0, found.malformed_rows
    while True:
        texts, malformed = parser.texts, _Malformed()
        try:
            with TextFile(path, progress, skip=done) as text:
                for chunk in _streamed(text, parser, parser.options(texts, malformed, quoted=True), rows):
                    rows += chunk.rows
                    yield chunk
                found.malformed_rows = before + malformed.rows
                found.notes.extend(_quoted_lines(text, rows + malformed.rows))
            return
        except pa.ArrowInvalid as error:
            parser.read_as_text(error, texts)  # and rows that were handed out already are skipped


def _streamed(text: TextFile, parser: _Parser, options: dict[str, Any], skip: int) -> Iterator[Chunk]:
    from pyarrow import csv

    try:
        reader = csv.open_csv(pa.PythonFile(text, "r"), read_options=parser.read_options(_BLOCK), **options)
    except pa.ArrowInvalid as error:
        if not _nothing(error):
            raise
        text.check_end()
        return
    for batch in reader:
        dropped = min(skip, batch.num_rows)
        skip -= dropped
        if batch.num_rows > dropped:
            yield parser.chunk(batch.slice(dropped))
    text.check_end()


def _nothing(error: pa.ArrowInvalid) -> bool:
    return "Empty CSV file" in str(error)


def _quoted_lines(text: TextFile, rows: int) -> list[str]:
    """A stray pair of quotes makes one cell of all the rows between them; so may a text with line breaks."""
    lines = text.lines_within_cells(rows)
    if not lines:
        return []
    return [f"{text.path}: {lines:,} line breaks lie within quoted cells: check the quotes if none should"]


def _parse_options(delimiter: str, malformed: _Malformed, *, quoted: bool) -> Any:
    from pyarrow import csv

    return csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if quoted else False,
        newlines_in_values=quoted,
        invalid_row_handler=malformed,
        ignore_empty_lines=True,
    )
