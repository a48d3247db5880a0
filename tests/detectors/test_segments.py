"""Segments: how columns are cut, and which parts are worse than the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from detectors.errors import DataError
from detectors.segments import MISSING, OTHERS, segments


def found(frame, columns, right):
    return segments(frame, columns, np.asarray(right, bool), lambda places: {"rows": len(places)})


def test_a_segment_that_is_worse_is_named_with_its_interval_and_holms_p():
    country = np.repeat(["AT", "BE", "CH"], 200)
    right = np.ones(600, bool)
    right[:40] = False  # AT: 80 %
    right[200:204] = False  # BE: 98 %
    got = {part.value: part for part in found(pd.DataFrame({"country": country}), ["country"], right)}
    assert [value for value, part in got.items() if part.worse] == ["AT"]
    at = got["AT"]
    assert (at.rows, at.right, at.rest) == (200, 160, 396 / 400)
    exact = stats.binomtest(160, 200).proportion_ci(0.95, "exact")
    assert (at.interval.low, at.interval.high) == pytest.approx((exact.low, exact.high))
    p = stats.fisher_exact([[160, 40], [396, 4]], alternative="less").pvalue
    assert at.p_value == pytest.approx(3 * p), "the smallest of three"
    assert at.metrics == {"rows": 200}


def test_numbers_are_cut_at_their_quartiles_and_no_row_is_lost():
    amount = np.append(np.arange(1, 101, dtype=float), [np.nan] * 4)
    got = found(pd.DataFrame({"amount": amount}), ["amount"], np.ones(104))
    assert [(part.value, part.rows) for part in got] == [
        ("up to 25", 25), ("above 25 up to 50", 25), ("above 50 up to 75", 25), ("above 75", 25), (MISSING, 4),
    ]  # fmt: skip


def test_numbers_with_many_ties_and_few_numbers():
    skewed = np.append(np.zeros(90), np.arange(1, 31))
    got = found(pd.DataFrame({"x": skewed}), ["x"], np.ones(120))
    assert [(part.value, part.rows) for part in got] == [("up to 0", 90), ("above 0", 30)]
    codes = found(pd.DataFrame({"protocol": [6, 17, 6, 1]}), ["protocol"], np.ones(4))
    assert [(part.value, part.rows) for part in codes] == [("1", 1), ("17", 1), ("6", 2)]


def test_rare_values_go_together():
    words = [f"w{i:03d}" for i in range(60)] + ["w000"] * 5
    got = found(pd.DataFrame({"word": words}), ["word"], np.ones(65))
    assert (len(got), got[-1].value, got[-1].rows, sum(part.rows for part in got)) == (51, OTHERS, 10, 65)


def test_without_a_difference_hardly_ever_is_one_named():
    random = np.random.default_rng(8)
    frame = pd.DataFrame({"a": random.integers(0, 5, 400), "b": random.normal(size=400)})
    named = sum(any(p.worse for p in found(frame, ["a", "b"], random.random(400) < 0.9)) for _ in range(200))
    assert named <= stats.binom.ppf(0.999, 200, 0.01)


def test_the_whole_is_compared_with_nothing():
    (part,) = found(pd.DataFrame({"a": ["x"] * 5}), ["a"], np.zeros(5))
    assert (part.worse, part.rest, part.p_value) == (False, None, 1.0)


def test_an_unknown_column_is_named():
    with pytest.raises(DataError, match='no segments by "b": the predictions have "a"'):
        found(pd.DataFrame({"a": [1]}), ["b"], [True])
