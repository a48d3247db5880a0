"""Chi-squared, Jensen-Shannon, Wasserstein, missing share, unseen categories, out of range: against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.spatial.distance import jensenshannon

from detectors.baseline import Baseline
from detectors.checks import check_detector
from detectors.chi_square import ChiSquare, cramers_v
from detectors.jensen_shannon import JensenShannon, jensen_shannon
from detectors.missing_share import MissingShare
from detectors.out_of_range import OutOfRange
from detectors.profile import categorical_profile, numeric_profile
from detectors.unseen_category import UnseenCategory
from detectors.wasserstein import Wasserstein, spread

ALL = [ChiSquare(), JensenShannon(), Wasserstein(), MissingShare(), UnseenCategory(), OutOfRange()]
NUMERIC = [d for d in ALL if d.name != "unseen_category"]
counts = st.lists(st.integers(0, 500), min_size=2, max_size=12).filter(sum)


def words(*values) -> np.ndarray:
    return np.array(values, dtype=object)


@pytest.mark.parametrize("detector", ALL, ids=lambda d: d.name)
def test_the_contract(detector):
    check_detector(detector)


@given(st.data(), counts)
def test_distances_are_bounded_symmetric_and_equal_to_scipy(data, r):
    c = data.draw(st.lists(st.integers(0, 500), min_size=len(r), max_size=len(r)).filter(sum))
    before, after = np.array(r), np.array(c)
    for distance in (cramers_v, jensen_shannon):
        assert 0 <= distance(before, after) <= 1 + 1e-12
        assert distance(before, after) == pytest.approx(distance(after, before))
        assert distance(before, 3 * before) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon(before, after) == pytest.approx(jensenshannon(before, after, 2), abs=1e-6)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=8), st.data())
def test_cramers_v_is_the_textbook_one_for_samples_of_one_size(r, data):
    c = data.draw(st.permutations(r))
    exact = stats.contingency.association(np.array([r, c]), method="cramer")
    assert cramers_v(np.array(r), np.array(c)) == pytest.approx(exact)


def test_thresholds_are_those_of_a_gaussian_shift():
    for value, limits in (
        (0.1, [d.moderate for d in ALL[:3]]),
        (0.2, [d.significant for d in ALL[:3]]),
    ):
        shift = math.sqrt(value)  # PSI of N(0, 1) against N(s, 1) is s squared
        p, q = NormalDist().pdf, NormalDist(shift).pdf
        v = integrate.quad(lambda x: (p(x) - q(x)) ** 2 / (2 * (p(x) + q(x))), -9, 9)[0]  # noqa: B023
        js = integrate.quad(lambda x: -_middle(p(x), q(x)), -9, 9)[0]  # noqa: B023
        assert limits == pytest.approx([math.sqrt(v), math.sqrt(js), shift], abs=6e-4)
    assert (0.02 - 1e-4) * math.log(0.02 / 1e-4) == pytest.approx(0.1, abs=0.01)
    assert (0.035 - 1e-4) * math.log(0.035 / 1e-4) == pytest.approx(0.2, abs=0.01)


def _middle(p: float, q: float) -> float:
    half = (p + q) / 2
    return sum(x * math.log2(half / x) for x in (p, q)) / 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=4, max_size=60), st.data())
def test_wasserstein_equals_scipy_within_the_training_range(x, data):
    y = data.draw(st.lists(st.integers(min(x), max(x)), min_size=1, max_size=60))
    reference = numeric_profile("x", np.array(x, dtype=float))
    score = Wasserstein().score(reference, reference.summarize(np.array(y, dtype=float)))
    if len(set(x)) == 1:
        assert score is None
        return
    values = np.unique(x)
    scale, middle = spread(reference), reference.median
    # a value between grid points is spread over its gap: exact for those on the grid
    if max(abs(values - middle)) <= 5 * scale and set(y) <= set(x):
        assert score.statistic == pytest.approx(stats.wasserstein_distance(x, y) / scale, abs=1e-9)


def test_wasserstein_of_a_gaussian_shift_and_scale():
    rng = np.random.default_rng(1)
    reference = numeric_profile("x", rng.normal(10, 2, 200_000))
    for shift in (0.3, 1.0, 2.0):
        moved = reference.summarize(rng.normal(10 + 2 * shift, 2, 50_000))
        assert Wasserstein().score(reference, moved).statistic == pytest.approx(shift, rel=0.03)
    wider = reference.summarize(rng.normal(10, 3, 50_000))  # half the deviation more: (1.5 - 1) E|Z|
    assert Wasserstein().score(reference, wider).statistic == pytest.approx(
        0.5 * math.sqrt(2 / math.pi), rel=0.03
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (stats.norm.ppf((np.arange(1000) + 0.5) / 1000, 0, 3), 3.0),
        (np.where(np.arange(1000) < 800, 0.0, np.linspace(0, 32.9, 1000)), 32.9 * 0.95 / 3.29),
        (np.full(50, 4.0), 0.0),
        (np.append(np.zeros(9999), 1.0), 0.01),
    ],
)
def test_the_spread_falls_back_where_quartiles_coincide(values, expected):
    assert spread(numeric_profile("x", values)) == pytest.approx(expected, rel=0.02)


def test_small_p_values_of_wasserstein_follow_the_normal_mean_test():
    """Two values: W is the difference of two shares, whose p is the binomial one."""
    reference = numeric_profile("x", np.repeat([0.0, 1.0], 50_000))
    for hits in (120, 130, 140, 150):
        batch = reference.summarize(np.repeat([0.0, 1.0], [200 - hits, hits]))
        exact = stats.binomtest(hits, 200, 0.5).pvalue
        assert Wasserstein().score(reference, batch).p_value == pytest.approx(exact, rel=0.35)


def test_missing_share_and_out_of_range_agree_with_scipy():
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 800)
    values[:40] = np.nan
    reference = numeric_profile("x", values)
    batch = rng.normal(0, 1, 120)
    batch[:15] = np.nan
    batch[15:18] = 99
    current = reference.summarize(batch)
    score = MissingShare().score(reference, current)
    table = [[40, 760], [15, 105]]
    greater = stats.fisher_exact(table, alternative="less").pvalue
    assert score.p_value == pytest.approx(2 * greater) and score.statistic == pytest.approx(0.125 - 0.05)
    ends = OutOfRange().score(reference, current)
    chance = math.comb(105, 3) / math.comb(105 + 760, 3)  # the three largest of 865 are among the batch's 105
    if current.out_of_range == (0, 3):
        assert ends.p_value == pytest.approx(2 * chance) and ends.statistic == pytest.approx(3 / 120)


def test_unseen_categories_that_are_to_be_expected_are_no_effect():
    known = words(*(f"k{i // 2}" for i in range(800)), *(f"once{i}" for i in range(200)))
    reference = categorical_profile("x", known)
    calm = reference.summarize(words(*(f"k{i}" for i in range(160)), *(f"new{i}" for i in range(40))))
    score = UnseenCategory().score(reference, calm)
    assert (score.statistic, score.effect) == (0.2, 0.0)  # Good and Turing expect 200 of 1,000
    assert score.p_value > 0.3
    reference = categorical_profile("x", words(*(f"k{i % 20}" for i in range(800))))
    loud = reference.summarize(words(*(f"k{i % 20}" for i in range(160)), *["worm"] * 40))
    assert UnseenCategory().score(reference, loud).p_value < 1e-12


@pytest.mark.parametrize("detector", NUMERIC, ids=lambda d: d.name)
def test_the_rows_needed_do(detector):
    rng = np.random.default_rng(3)
    reference = numeric_profile("x", rng.normal(0, 1, 5_000))
    alpha = 0.008 / 40
    rows = detector.rows_needed(reference, alpha)
    assert 2 <= rows <= 2_000
    assert detector.rows_needed(reference, 1e-12) > rows
    values = rng.normal(0, 1, 3 * rows)
    if detector.name == "missing_share":
        values[: len(values) // 5] = np.nan
    elif detector.name == "out_of_range":
        values[: len(values) // 5] = 99
    else:
        values = values + 0.7
    assert detector.score(reference, reference.summarize(values)).p_value <= alpha


def test_natural_variation_must_be_exceeded():
    rng = np.random.default_rng(4)
    numbers = numeric_profile("x", rng.normal(0, 1, 5_000))
    moved = np.where(np.arange(1_000) % 5, rng.normal(0.6, 1, 1_000), 50.0)
    moved[:100] = np.nan
    texts = categorical_profile("x", rng.choice(words("a", "b", "c"), 5_000))
    strange = np.where(np.arange(1_000) % 5, "a", "z").astype(object)
    for detector in ALL:
        reference, values = (texts, strange) if detector.name == "unseen_category" else (numbers, moved)
        batch = reference.summarize(values)
        plain = detector.score(reference, batch)
        assert plain.p_value < 1e-12, detector.name
        high = detector.score(replace(reference, variation={detector.name: 1.1 * plain.effect}), batch)
        low = detector.score(replace(reference, variation={detector.name: plain.effect / 3}), batch)
        close = detector.score(replace(reference, variation={detector.name: 0.98 * plain.effect}), batch)
        assert high.p_value == 1.0, detector.name
        assert plain.p_value <= low.p_value < 1e-3 < 0.05 < close.p_value, detector.name


def test_a_named_period_gives_each_detector_its_floor():
    rng = np.random.default_rng(5)
    week = np.repeat(np.arange(6), 1_000)
    x = rng.normal(0, 1, 6_000) + 0.8 * (week % 2)
    x[(week == 3) & (rng.random(6_000) < 0.1)] = np.nan
    x[(week == 5) & (rng.random(6_000) < 0.08)] = 30.0
    kind = rng.choice(words("a", "b"), 6_000)
    kind[(week == 2) & (rng.random(6_000) < 0.06)] = "only then"
    frame = pd.DataFrame({"week": week, "x": x, "still": rng.normal(0, 1, 6_000), "kind": kind})
    features = Baseline.fit(frame, period="week").features
    floors = features["x"].variation
    assert 0.2 < floors["wasserstein"] <= 3.0
    assert 0.15 < floors["chi_square"] <= 3.0 and 0.1 < floors["jensen_shannon"] <= 3.0
    # twice as far: 1 - (1 - share)^2
    assert floors["missing_share"] == pytest.approx(0.19, abs=0.05)
    assert floors["out_of_range"] == pytest.approx(0.154, abs=0.05)
    assert features["kind"].variation["unseen_category"] == pytest.approx(0.116, abs=0.04)
    assert not features["still"].variation
