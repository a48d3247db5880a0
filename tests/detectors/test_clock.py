"""Dates of any century and unit are read as seconds, and no text is able to stop it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Baseline
from detectors.clock import clock_of, seconds

# seconds since 1970: POSIX, section 4.16; 253402214400 is the last day of the year 9999
LAST_DAY = 253_402_214_400.0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_each_unit_gives_the_same_seconds(unit: str) -> None:
    moments = np.array(["1969-12-31T23:59:59", "2001-09-09T01:46:40", "NaT"], dtype=f"M8[{unit}]")
    assert seconds(pd.Series(moments)).tolist()[:2] == [-1.0, 1_000_000_000.0]
    assert np.isnan(seconds(pd.Series(moments))[2])


def test_zones_count() -> None:
    local = pd.Series(["2001-09-09T03:46:40+02:00", "2001-09-08T21:46:40-04:00"])
    assert seconds(local).tolist() == [1e9, 1e9]
    assert seconds(pd.to_datetime(local, utc=True).dt.tz_convert("Europe/Berlin")).tolist() == [1e9, 1e9]


def test_a_date_that_means_never_is_a_date() -> None:
    until = pd.Series(["9999-12-31"] * 60 + ["2024-01-01"] * 40)
    assert seconds(until)[0] == LAST_DAY
    clock = clock_of(until)
    assert clock is not None and (clock.last, clock.most, clock.moments) == (LAST_DAY, 60, 2)
    baseline = Baseline.fit(pd.DataFrame({"until": until, "x": np.arange(100.0)}), version="1")
    assert baseline.clocks == {"until": clock}


@given(st.lists(st.text("0123456789abcdefTZ:-+./ ", max_size=24), min_size=1, max_size=30))
def test_any_text_is_a_date_or_none(words: list[str]) -> None:
    values = seconds(pd.Series(words, dtype="str"))
    assert values.shape == (len(words),)
    assert not np.isinf(values).any()
