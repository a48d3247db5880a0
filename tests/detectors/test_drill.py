"""The drifts of a drill: what they change, by how much, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from detectors import drill
from detectors.baseline import Baseline
from detectors.batch_profile import profile_batch
from detectors.domain_classifier import DomainClassifier
from detectors.drill import DRIFTS, NONE, Drift, Range, Rows
from detectors.policy import Policy
from detectors.psi import PSI

ANY = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])
COLUMN = arrays.arrays(np.float64, st.integers(2, 60), elements=ANY)
SHARE = st.floats(0, 1)
SEED = st.integers(0, 2**32 - 1)


def table(rows: int = 2000, seed: int = 1) -> Rows:
    """Two features that go together, one alone, one that is mostly zero, a constant, words, and labels."""
    rng = np.random.default_rng(seed)
    one = rng.normal(50, 10, rows)
    return Rows(
        {
            "one": one,
            "two": one + rng.normal(0, 2, rows),
            "alone": rng.integers(0, 100, rows).astype(float),
            "sparse": np.where(rng.random(rows) < 0.1, rng.normal(5, 1, rows), 0.0),
            "constant": np.full(rows, 7.0),
            "word": rng.choice(np.array(["a", "b", "c"], dtype=object), rows),
        },
        (rng.random(rows) < 0.2).astype(int),
    )


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return bool(pd.Series(one).equals(pd.Series(two)))


@given(COLUMN, st.floats(0, 10), SEED)
def test_a_shift_moves_every_finite_value_by_as_much_and_no_other(
    values: np.ndarray, size: float, seed: int
) -> None:
    before = values.copy()
    scale = drill.scale_of(values)
    if scale is None:
        return
    moved = drill.shifted(values, size, scale, np.random.default_rng(seed))
    finite = np.isfinite(values) & ~np.isin(values, scale.atoms)
    gap = moved[finite] - values[finite]
    assert np.allclose(
        gap, size * scale.spread, atol=1.0 if scale.whole else 1e-6 * (1 + scale.spread * size)
    )
    assert same(moved[~finite], values[~finite])
    assert same(values, before), "the batch without drift is left alone"


@given(COLUMN, st.floats(1, 5), SEED)
def test_scaling_keeps_the_centre_and_the_side_of_it(values: np.ndarray, factor: float, seed: int) -> None:
    scale = drill.scale_of(values)
    if scale is None or scale.whole:
        return
    moved = drill.scaled(values, factor, scale, np.random.default_rng(seed))
    finite = np.isfinite(values) & ~np.isin(values, scale.atoms)
    away = (values - scale.centre)[finite]
    assert np.allclose((moved - scale.centre)[finite], factor * away, atol=1e-6)


def test_whole_numbers_stay_whole_and_move_by_as_much_on_average() -> None:
    values = np.random.default_rng(1).integers(0, 50, 20_000).astype(float)
    scale = drill.scale_of(values)
    assert scale is not None
    assert scale.whole
    moved = drill.shifted(values, 0.01, scale, np.random.default_rng(2))
    assert (moved == np.floor(moved)).all()
    # the mean of 20,000 Bernoulli draws with p = 0.19 is off by more than 0.014 once in 10 million
    assert abs((moved - values).mean() - 0.01 * scale.spread) < 0.015


@given(st.integers(1, 200), SHARE, SEED)
def test_exactly_so_many_rows_are_missing_new_or_in_another_unit(rows: int, share: float, seed: int) -> None:
    numbers, words = np.arange(1.0, rows + 1), np.full(rows, "a", dtype=object)
    wanted = round(share * rows)
    rng = np.random.default_rng(seed)
    assert np.isnan(drill.with_missing(numbers, share, rng)).sum() == wanted
    assert sum(w is None for w in drill.with_missing(words, share, rng)) == wanted
    new = drill.with_new_category(words, share, rng)
    assert (new == drill.NEW_CATEGORY).sum() == wanted
    assert (new == "a").sum() == rows - wanted
    unit = drill.in_other_unit(numbers, share, rng)
    assert set(np.unique(unit / numbers)) <= {1.0, 1000.0}
    assert (unit == 1000 * numbers).sum() == wanted
    assert (words == "a").all()
    assert same(numbers, np.arange(1.0, rows + 1))


@given(COLUMN, SHARE, SEED)
def test_a_permutation_keeps_the_distribution(values: np.ndarray, share: float, seed: int) -> None:
    changed = drill.permuted(values, share, np.random.default_rng(seed))
    assert same(np.sort(changed), np.sort(values))
    assert (pd.Series(changed).compare(pd.Series(values)).shape[0]) <= round(share * len(values))


@given(st.integers(1, 99), st.floats(0.2, 20), st.integers(1, 150), SEED)
def test_the_odds_of_class_1_are_multiplied(ones: int, factor: float, rows: int, seed: int) -> None:
    label = np.repeat([1, 0], [ones, 100 - ones])
    chosen = drill.prior_rows(label, factor, rows, np.random.default_rng(seed))
    odds = factor * ones / (100 - ones)
    assert len(chosen) == rows
    assert label[chosen].sum() == round(rows * odds / (1 + odds))
    for value in (0, 1):  # nobody comes twice where there are enough
        mine = chosen[label[chosen] == value]
        if len(mine) <= (label == value).sum():
            assert len(set(mine.tolist())) == len(mine)


def test_one_class_alone_has_no_prior_to_change() -> None:
    with pytest.raises(ValueError, match="both classes"):
        drill.prior_rows(np.ones(5), 2, 5, np.random.default_rng(0))


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda d: f"{d.kind} {d.said}")
def test_only_one_column_changes(drift: Drift) -> None:
    rng = np.random.default_rng(3)
    scope = Range.of(table())
    assert scope.applies(drift)
    batch = scope.batch(500, rng)
    name = scope.pick(drift, rng)
    drifted = scope.drifted(batch, drift, name, rng)
    assert drifted.rows == 500
    if drift.kind == "prior":
        assert name == ""
        return
    assert name in scope.features[drift.kind]
    assert [n for n, v in drifted.columns.items() if not same(v, batch.columns[n])] == [name]
    assert drifted.label is batch.label


def test_a_drift_is_put_only_where_it_changes_something() -> None:
    scope = Range.of(table())
    assert set(scope.features["shift"]) == {"one", "two", "alone"}, "a value that is set does not shift"
    assert "sparse" not in scope.features["unit"], "a thousand times nothing is nothing"
    assert set(scope.features["scale"]) == {"one", "two", "alone"}
    assert set(scope.features["correlation"]) == {"one", "two"}
    assert scope.features["new category"] == ("word",)
    bare = Range.of(Rows({"x": np.full(9, 1.0)}))
    assert [d.kind for d in (NONE, *DRIFTS) if bare.applies(d)] == ["none"] + ["missing"] * 3


def test_robust_scale_of_a_normal_a_sparse_and_an_odd_column() -> None:
    normal = drill.scale_of(np.random.default_rng(0).normal(3, 2, 100_000))
    assert normal is not None
    assert (normal.centre, normal.spread) == (pytest.approx(3, abs=0.05), pytest.approx(2, abs=0.05))
    assert drill.scale_of(np.array([0.0] * 90 + list(range(10)))) is None
    filled = np.concatenate([np.zeros(400), np.random.default_rng(0).normal(50, 5, 600)])
    half = drill.scale_of(filled)
    assert half is not None
    assert (half.atoms, half.spread) == ((0.0,), pytest.approx(5, rel=0.15))
    moved = drill.shifted(filled, 1.0, half, np.random.default_rng(1))
    assert (moved[:400] == 0).all(), "a default stays a default"
    assert np.allclose(moved[400:] - filled[400:], half.spread)
    assert drill.scale_of(np.array([np.nan, 1.0, 1.0])) is None
    assert drill.scale_of(np.array([np.nan, np.inf])) is None


def test_a_batch_of_a_drill_is_summarized_as_a_file_would_be() -> None:
    rows = table()
    baseline = Baseline.fit(pd.DataFrame(rows.columns))
    rng = np.random.default_rng(5)
    scope = Range.of(rows)
    batch = scope.batch(300, rng)
    plain = drill.profiled(baseline, batch)
    drift = Drift("missing", 0.2, "")
    name = scope.pick(drift, rng)
    drifted = scope.drifted(batch, drift, name, rng)
    quick = drill.profiled(baseline, drifted, plain, name)
    for ours, rows_ in ((plain, batch), (quick, drifted)):
        theirs = profile_batch(baseline, pd.DataFrame(rows_.columns))
        for feature in baseline.features:
            assert (ours.features[feature].cells == theirs.features[feature].cells).all(), feature
    assert drill.verdict_on(baseline, plain, [PSI()], Policy()).verdict == "stable"
    assert drill.verdict_on(baseline, quick, [PSI()], Policy()).drifted[0].feature == name


def test_a_broken_correlation_is_seen_by_the_joint_test_alone() -> None:
    rows = table()
    baseline = Baseline.fit(pd.DataFrame(rows.columns))
    rng, scope, drift = np.random.default_rng(6), Range.of(rows), Drift("correlation", 1.0, "")
    batch = scope.batch(600, rng)
    drifted = scope.drifted(batch, drift, "one", rng)
    profile = drill.profiled(baseline, drifted, drill.profiled(baseline, batch), "one")
    assert drill.verdict_on(baseline, profile, [PSI()], Policy()).verdict == "stable"
    both = drill.verdict_on(baseline, profile, [PSI(), DomainClassifier()], Policy())
    assert (both.verdict, both.drifted[0].detector) == ("drift", "domain_classifier")
