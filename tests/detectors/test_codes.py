"""Rows in codes of the reference: quantiles of numbers, frequent categories, and what lies outside."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors.codes import ABOVE, BELOW, MISSING, NO_CATEGORY, OTHER, UNSEEN, coded, shuffled_order
from detectors.profile import categorical_profile, numeric_profile


def test_numbers_are_coded_by_the_quantiles_of_the_reference():
    part = numeric_profile("x", np.arange(1, 961, dtype=float))  # 30 values a quantile
    values = np.array([0.0, 1.0, 30.0, 31.0, 930.0, 931.0, 960.0, 961.0, np.nan, np.inf, -np.inf])
    codes = coded([part], lambda _: values, len(values)).codes[:, 0]
    assert codes.tolist() == [BELOW, 1, 1, 2, 31, 32, 32, ABOVE, MISSING, ABOVE, BELOW]


def test_a_constant_has_one_code_and_everything_else_is_outside():
    part = numeric_profile("x", np.full(50, 7.0))
    codes = coded([part], lambda _: np.array([7.0, 6.9, 7.1]), 3).codes[:, 0]
    assert codes[1] == BELOW and codes[2] == ABOVE and BELOW < codes[0] < ABOVE


def test_categories_are_coded_by_frequency_and_the_rare_ones_together():
    words = ["a"] * 20 + ["b"] * 10 + ["c"] * 4  # c has fewer than 5 rows
    part = categorical_profile("x", np.array(words, dtype=object))
    values = np.array(["a", "b", "c", "new", None], dtype=object)
    codes = coded([part], lambda _: values, 5).codes[:, 0]
    assert codes.tolist() == [0, 1, OTHER, UNSEEN, NO_CATEGORY]


@given(arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))))
@settings(max_examples=60, deadline=None)
def test_codes_keep_the_order_of_the_values(values):
    reference = np.random.default_rng(0).normal(0, 1e5, 500)
    codes = coded([numeric_profile("x", reference)], lambda _: values, len(values)).codes[:, 0]
    real = ~np.isnan(values)
    order = np.argsort(values[real], kind="stable")
    assert (np.diff(codes[real][order].astype(int)) >= 0).all()
    assert (codes[~real] == MISSING).all()


def test_the_random_order_depends_on_the_rows_alone():
    rng = np.random.default_rng(3)
    values = rng.normal(size=300)
    part = numeric_profile("x", rng.normal(size=1000))
    one = coded([part], lambda _: values, 300)
    two = coded([part], lambda _: values[::-1].copy(), 300)
    assert np.array_equal(one.codes[shuffled_order(one)], two.codes[shuffled_order(two)])
    assert not np.array_equal(one.codes[shuffled_order(one)], np.sort(one.codes, axis=0))


def test_features_are_chosen_by_name_and_in_order():
    parts = [numeric_profile(name, np.arange(100.0)) for name in "abc"]
    rows = coded(parts, lambda name: np.full(4, float("abc".index(name) * 40)), 4)
    chosen = rows.of(["c", "a"])
    assert chosen.features == ("c", "a")
    assert np.array_equal(chosen.codes, rows.codes[:, [2, 0]])
    assert rows.head(2).rows == 2
