"""A Parquet file as a stream of chunks, or as one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from detectors.cells import unique_names
from detectors.chunks import Advance, Chunk, Stream, chunk_of, in_order, to_pandas
from detectors.errors import DataError
from detectors.location import Location
from detectors.objects import ObjectPath

if TYPE_CHECKING:
    import pandas as pd

_CELLS = 1 << 22  # of a chunk
_ROWS = 1 << 16  # at most


def is_parquet(path: Location) -> bool:
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return True
    except OSError:
        return False  # the text reader says why
    if path.suffix == ".parquet" and path.stat().st_size:
        raise DataError("unreadable", f"{path} is named .parquet but is no Parquet file")
    return False


def _open_parquet(path: Location) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path.open("rb") if isinstance(path, ObjectPath) else path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "truncated", f"{path} is a damaged or cut off Parquet file ({error}): write it again"
        ) from None


def parquet_table(path: Location) -> tuple[pd.DataFrame, list[str]]:
    with _open_parquet(path) as file:
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise DataError("truncated", f"{path} is damaged ({error}): write it again") from None
    if not table.num_rows:
        raise DataError("no_rows", f"{path} has columns but no rows")
    columns, notes = unique_names(table.schema.names)
    return to_pandas(table, columns), list(notes)


def parquet_stream(
    path: Location, numeric: frozenset[str], categorical: frozenset[str], progress: Advance | None
) -> Stream:
    raw = _open_parquet(path).schema_arrow.names
    columns, notes = unique_names(raw)
    at = [i for i, c in enumerate(columns) if c in numeric or c in categorical]
    names = [columns[i] for i in at]

    def read(file: Any) -> Iterator[Callable[[], Chunk]]:
        total, size = file.metadata.num_rows, path.stat().st_size
        rows = 0
        for batch in file.iter_batches(_rows(len(at)), columns=[raw[i] for i in at]):
            there = set(batch.schema.names)  # a batch keeps the file's order, and twins come together
            place = {i: k for k, i in enumerate(i for i, name in enumerate(raw) if name in there)}
            picked = pa.RecordBatch.from_arrays([batch.column(place[i]) for i in at], names=names)
            rows += batch.num_rows
            if progress is not None:
                progress(size * rows // total, size)
            yield (
                partial(chunk_of, picked, names, names, numeric)
                if at
                else partial(Chunk, batch.num_rows, {}, {}, {})
            )

    def chunks(found: Stream) -> Iterator[Chunk]:
        with _open_parquet(path) as file:
            try:
                yield from in_order(read(file))  # the next are read while these become columns of numbers
            except (pa.ArrowException, OSError) as error:
                raise DataError("truncated", f"{path} is damaged ({error}): write it again") from None

    return Stream(str(path), columns, chunks, list(notes))


def _rows(columns: int) -> int:
    return max(1, min(_ROWS, _CELLS // max(1, columns)))
