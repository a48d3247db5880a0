"""Columns of dates are no features, but a clock that stands still or jumps is a fault of the feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_TICKS_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # the units a pandas column can have
_MOST_ROWS = 10_000
_LEAST_DATES = 0.9  # share of the values that must be dates
_GLANCE = 200  # values that are looked at first: reading 10,000 ids as dates takes a second
_AT_A_GLANCE = 0.75  # dates among them; of 200 from a column of 90 % dates, fewer come once in 10^9


@dataclass(frozen=True, slots=True)
class Clock:
    """What a column of dates looked like in the reference.

    Attributes:
        first / last: seconds since 1970, UTC; the 0.1 and 99.9 % quantiles, so that one typing error does not count.
        rows: rows with a date that were looked at.
        most: rows that shared the most frequent moment.
        moments: distinct moments.
    """

    first: float
    last: float
    rows: int
    most: int
    moments: int

    @property
    def span(self) -> float:
        """Seconds."""
        return self.last - self.first


def seconds(column: pd.Series) -> np.ndarray:
    """Dates as seconds since 1970, UTC, float64, shape (rows,); NaN where a cell holds none."""
    import pandas as pd

    dates = pd.Series(column)
    if not pd.api.types.is_datetime64_any_dtype(dates.dtype):
        dates = pd.to_datetime(dates, errors="coerce", format="mixed", utc=True)
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert(None)
    moments = dates.to_numpy()
    # the unit stays what it is: the year 9999 ("no end yet") is no number of nanoseconds
    unit, _ = np.datetime_data(moments.dtype)
    values: np.ndarray = moments.astype(np.int64) / _TICKS_PER_SECOND[unit]
    values[np.isnat(moments)] = np.nan
    return values


def clock_of(column: pd.Series) -> Clock | None:
    """The clock of a reference's column; None where it holds no dates."""
    import pandas as pd

    kind = column.dtype
    if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
        return None
    step = max(1, len(column) // _MOST_ROWS)
    kept = column.iloc[::step].dropna()
    if kept.empty:
        return None
    glance = seconds(kept.sample(min(_GLANCE, len(kept)), random_state=0))
    if np.isfinite(glance).mean() < _AT_A_GLANCE:
        return None
    times = seconds(kept)
    times = times[np.isfinite(times)]
    if len(times) < _LEAST_DATES * len(kept):
        return None
    _, counts = np.unique(times, return_counts=True)
    first, last = np.quantile(times, [0.001, 0.999])
    return Clock(float(first), float(last), len(times), int(counts.max()), len(counts))
