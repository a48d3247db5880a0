"""What every source gives: a table as a stream of column chunks, and what was seen on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from detectors.columns import arrow_categories, arrow_numbers, to_series
from detectors.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

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
            judge_malformed(self)
        if not self.rows:
            raise DataError("no_rows", f"{self.name} has a header but no rows: nothing to measure")


def judge_malformed(found: Stream) -> None:
    bad, total = found.malformed_rows, found.malformed_rows + found.rows
    wrong = f"{bad:,} of {total:,} rows do not have {len(found.columns)} cells"
    if bad > _MAX_MALFORMED * total:
        raise DataError("malformed", f"{found.name}: {wrong}: check the delimiter and the quotes")
    found.errors.append(f"{found.name}: {wrong} and were left out")


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
