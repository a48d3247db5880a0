"""One column of an Arrow table or a pandas frame as a numpy array of numbers or of categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from detectors.cells import category, decode, number

if TYPE_CHECKING:
    import pandas as pd


_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a duration, which is measured in seconds


def arrow_numbers(values: pa.Array) -> tuple[np.ndarray, int]:
    """Any Arrow column as float64, and how many cells were no numbers."""
    kind = values.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        if pa.types.is_decimal(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
            values = values.cast(pa.float64())
        elif pa.types.is_duration(kind):
            return _buffer(values.cast(pa.int64()).cast(pa.float64(), safe=False), np.nan) / _TICKS[
                kind.unit
            ], 0
        elif _is_text(kind):
            return _numbers_in_text(values)
        else:
            bad = len(values) - values.null_count
            return np.full(len(values), np.nan), bad
    return _buffer(_widened(values), np.nan), 0


def _widened(values: pa.Array) -> pa.Array:
    """As float64. A float32 becomes the number that it is written as: 0.7, as in CSV, not 0.699999988079071."""
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    if pa.types.is_float32(values.type):
        values = values.cast(pa.string())
    # a cast brings pyarrow.compute along, which takes a tenth of a second to load
    return values if pa.types.is_float64(values.type) else values.cast(pa.float64(), safe=False)


def _buffer(values: pa.Array, missing: float) -> np.ndarray:
    """A float64, int64 or int32 Arrow array as numpy (Arrow's own conversion would import pandas)."""
    kind = (
        np.float64
        if pa.types.is_floating(values.type)
        else np.int32
        if pa.types.is_int32(values.type)
        else np.int64
    )
    rows = slice(values.offset, values.offset + len(values))
    validity, data = values.buffers()
    if not len(values) or data is None:
        return np.full(len(values), missing, dtype=kind)
    numbers: np.ndarray = np.frombuffer(data, kind)[rows]
    if values.null_count:
        there = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[rows]
        numbers = np.where(there, numbers, kind(missing))
    return numbers


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _numbers_in_text(values: pa.Array) -> tuple[np.ndarray, int]:
    words, codes = _encoded(values)
    parsed = [number(word) for word in words]
    bad = np.array([value is None for value in parsed] + [False])
    table = np.array([np.nan if value is None else value for value in parsed] + [np.nan], dtype=np.float64)
    return table[codes], int(bad[codes].sum())


def arrow_categories(values: pa.Array) -> np.ndarray:
    """Any Arrow column as an object array of str or None."""
    if _is_text(values.type):
        words, codes = _encoded(values)
        table = np.array([category(word) for word in words] + [None], dtype=object)
        found: np.ndarray = table[codes]
        return found
    if pa.types.is_float32(values.type) or pa.types.is_float16(values.type):
        values = _widened(values)
    if pa.types.is_duration(values.type):
        return _objects([category(seconds) for seconds in arrow_numbers(values)[0].tolist()])
    if pa.types.is_time(values.type):
        values = values.cast(pa.string())  # nanoseconds too, which Python's times do not have
    return _objects([category(value) for value in values.to_pylist()])


def to_series(values: pa.ChunkedArray) -> pd.Series:
    """An Arrow column as pandas holds it, so that `series_numbers` and `series_categories` read it the same."""
    import pandas as pd

    kind = values.type
    made: pd.Series
    if pa.types.is_integer(kind) and values.null_count:
        exact = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
        made = values.to_pandas(types_mapper=exact.get)  # not float: 2**53 + 1 stays
        return made
    if pa.types.is_null(kind) or pa.types.is_duration(kind):
        parts = [arrow_numbers(part)[0] for part in values.chunks]
        return pd.Series(np.concatenate(parts) if parts else np.empty(0))
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    dates = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if plain or dates or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        made = values.to_pandas()
        return made
    words = [arrow_categories(part) for part in values.chunks]
    return pd.Series(np.concatenate(words) if words else np.empty(0, dtype=object), dtype="str")


def _encoded(values: pa.Array) -> tuple[list[str], np.ndarray]:
    """The distinct words of a text column, and for each row the index of its word (-1: missing)."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    words = [word if isinstance(word, str) else decode(word or b"") for word in values.dictionary.to_pylist()]
    codes = values.indices
    if not pa.types.is_int32(codes.type):  # another index type than Arrow's own
        codes = codes.cast(pa.int64())
    return words, _buffer(codes, -1)


def _objects(values: list[str | None]) -> np.ndarray:
    table = np.empty(len(values), dtype=object)
    table[:] = values
    return table


def series_numbers(values: pd.Series) -> tuple[np.ndarray, int]:
    """A pandas column as float64, and how many of its cells are no numbers (they are NaN)."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_numeric_dtype(values.dtype):
        if pd.api.types.is_complex_dtype(values.dtype):
            return np.full(len(values), np.nan), len(values)
        if _is_short(values):
            return _buffer(_short_floats(values), np.nan), 0
        return values.to_numpy(dtype=np.float64, na_value=np.nan), 0
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return np.full(len(values), np.nan), int(values.notna().sum())
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return values.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan), 0
    codes, uniques = _factorized(values)
    parsed = [number(decode(u) if isinstance(u, bytes) else str(u)) for u in uniques]
    bad = np.array([value is None for value in parsed] + [False])
    table = np.array([np.nan if value is None else value for value in parsed] + [np.nan], dtype=np.float64)
    return table[codes], int(bad[codes].sum())


def series_categories(values: pd.Series) -> np.ndarray:
    """A pandas column as an object array of str or None."""
    if _is_short(values):
        return arrow_categories(_short_floats(values))
    if str(values.dtype).startswith("timedelta64"):
        return _objects([category(seconds) for seconds in series_numbers(values)[0].tolist()])
    codes, uniques = _factorized(values)
    words = [category(decode(u) if isinstance(u, bytes) else u) for u in uniques]
    table: np.ndarray = _objects([*words, None])[codes]
    return table


def _is_short(values: pd.Series) -> bool:
    return str(values.dtype).lower().startswith(("float16", "float32", "float["))


def _short_floats(values: pd.Series) -> pa.Array:
    return _widened(pa.array(values.to_numpy(np.float32, na_value=np.nan)))


def _factorized(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """For each row the index of its value (-1: missing), and the distinct values."""
    import pandas as pd

    try:
        codes, uniques = pd.factorize(values)
    except TypeError:  # lists and the like in the cells
        codes, uniques = pd.factorize(values.map(str, na_action="ignore"))
    return codes, pd.Index(uniques).tolist()
