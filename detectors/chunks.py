"""What every source gives: a table as a stream of column chunks, and what was seen on the way."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from detectors.columns import arrow_categories, arrow_numbers, to_series
from detectors.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")
Advance = Callable[[int, int], None]  # bytes read from the disk so far, and in all
WORKERS = min(4, os.cpu_count() or 1)  # threads that parse, and as many that count

_MAX_MALFORMED = 0.05


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
        part: of a larger table: whoever has the whole judges its malformed rows.
    """

    name: str
    columns: tuple[str, ...]
    chunks: Callable[[Stream], Iterator[Chunk]] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    malformed_rows: int = 0
    rows: int = 0
    part: bool = False

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self.chunks(self):
            self.rows += chunk.rows
            yield chunk
        if self.malformed_rows and not (self.part and self.rows):
            self.errors.append(judge_malformed(self.name, self.malformed_rows, self.rows, len(self.columns)))
        if not self.rows:
            raise DataError("no_rows", f"{self.name} has a header but no rows: nothing to measure")


def judge_malformed(name: object, bad: int, good: int, cells: int) -> str:
    """What is said of some rows with the wrong number of cells; DataError "malformed" where they are too many."""
    wrong = f"{bad:,} of {bad + good:,} rows do not have {cells} cells"
    if bad > _MAX_MALFORMED * (bad + good):
        raise DataError("malformed", f"{name}: {wrong}: check the delimiter and the quotes")
    return f"{name}: {wrong} and were left out"


def in_order(tasks: Iterable[Callable[[], _T]]) -> Iterator[_T]:
    """What the tasks give, in their order; a few of them are under way at once, each in a thread."""
    waiting: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def chunk_of(batch: pa.RecordBatch, raw: list[str], names: list[str], numeric: frozenset[str]) -> Chunk:
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


def to_pandas(table: pa.Table, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {name: to_series(column) for name, column in zip(columns, table.columns, strict=True)}
    )
