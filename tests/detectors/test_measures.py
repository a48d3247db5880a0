"""PSI and KS against closed forms and scipy; the contract suite over the built-ins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors.base import Score
from detectors.checks import check_detector
from detectors.ks import KS
from detectors.profile import FeatureProfile, categorical_profile, numeric_profile
from detectors.psi import PSI, psi

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)


def words(*values) -> np.ndarray:
    return np.array(values, dtype=object)


@settings(deadline=None)
@given(counts, st.integers(1, 5))
def test_psi_of_equal_shares_is_small_and_of_equal_counts_zero(reference, factor):
    r = np.array(reference) + 1
    assert psi(r, r) == 0.0
    assert psi(r, factor * r) < 0.01


@settings(deadline=None)
@given(counts, st.data())
def test_psi_is_symmetric_and_never_negative(reference, data):
    current = data.draw(st.lists(st.integers(0, 500), min_size=len(reference), max_size=len(reference)))
    r, c = np.array(reference), np.array(current)
    assert psi(r, c) >= 0
    assert psi(r, c) == pytest.approx(psi(c, r))


def test_psi_of_large_counts_is_the_textbook_sum():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.3, 0.3])
    expected = 0.2 * math.log(2) - 0.2 * math.log(0.6)
    assert psi((p * 1e7).astype(int), (q * 1e6).astype(int)) == pytest.approx(expected, rel=1e-4)


def test_one_empty_decile_in_a_small_batch_is_no_catastrophe():
    r, c = np.full(10, 1000), np.array([0, 6, 6, 6, 6, 6, 5, 5, 5, 5])
    assert psi(r, c) < 0.5  # 1e-4 for an empty cell alone would add 0.69


@pytest.mark.parametrize("shift", [0.25, 0.5, 1.0, 2.0])
def test_psi_of_a_gaussian_shift_in_deciles(shift):
    rng = np.random.default_rng(0)
    reference = numeric_profile("x", rng.normal(0, 1, 400_000))
    score = PSI().score(reference, reference.summarize(rng.normal(shift, 1, 400_000)))
    below = [0.0, *(NormalDist(shift).cdf(NormalDist().inv_cdf(k / 10)) for k in range(1, 10)), 1.0]
    closed = sum((q - 0.1) * math.log(q / 0.1) for q in np.diff(below))
    assert score.statistic == pytest.approx(closed, rel=0.02)
    assert closed < shift**2  # the limit of many cells: PSI of N(0, 1) against N(d, 1) is d squared


def test_the_size_correction_centres_psi_without_drift():
    rng = np.random.default_rng(1)
    reference = numeric_profile("x", rng.normal(0, 1, 10_000))
    for rows in (200, 1000):
        scores = [PSI().score(reference, reference.summarize(rng.normal(0, 1, rows))) for _ in range(300)]
        per_row = 1 / rows + 1 / 10_000
        # Yurdakul 2018: PSI/(1/n + 1/m) is about chi-squared with cells - 1 degrees of freedom
        assert np.mean([s.statistic for s in scores]) / per_row == pytest.approx(9, rel=0.12)
        assert max(s.effect for s in scores) < 0.2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.where(np.arange(len(x)) % 10, x, x * 1000),
        lambda x: np.where(np.arange(len(x)) % 20, np.nan, x),
    ],
)
def test_end_and_missing_cells_see_spikes_and_gaps(spoil):
    rng = np.random.default_rng(2)
    reference = numeric_profile("x", rng.lognormal(0, 1, 10_000))
    score = PSI().score(reference, reference.summarize(spoil(rng.lognormal(0, 1, 5000))))
    assert score.effect > 0.3 and score.p_value < 1e-10


def test_ks_is_exact_up_to_1024_distinct_values():
    rng = np.random.default_rng(3)
    for draw in (lambda n, s: rng.poisson(3 + s, n), lambda n, s: np.round(rng.normal(s, 1, n), 2)):
        x, y = draw(3000, 0).astype(float), draw(700, 0.2).astype(float)
        reference = numeric_profile("x", x)
        assert KS().score(reference, reference.summarize(y)).statistic == pytest.approx(
            stats.ks_2samp(x, y).statistic
        )


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # in scipy's p-value, which is not used
@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-9, 9), min_size=1, max_size=60), st.lists(st.floats(-9, 9), min_size=1, max_size=60)
)
def test_ks_equals_scipy_on_any_small_samples(x, y):
    reference = numeric_profile("x", np.array(x))
    score = KS().score(reference, reference.summarize(np.array(y)))
    assert score.statistic == pytest.approx(stats.ks_2samp(x, y, method="asymp").statistic)


def test_ks_on_the_grid_errs_by_no_more_than_the_bound():
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, 30_000)
    reference = numeric_profile("x", x)
    for shift in (0.0, 0.1, 1.0):
        y = rng.normal(shift, 1, 2000)
        exact = stats.ks_2samp(x, y, method="asymp").statistic
        assert 0 <= exact - KS().score(reference, reference.summarize(y)).statistic <= reference.grid_error
    assert reference.grid_error < 0.002


def test_ks_of_a_unit_shift_and_the_thresholds():
    rng = np.random.default_rng(5)
    reference = numeric_profile("x", rng.normal(0, 1, 200_000))
    score = KS().score(reference, reference.summarize(rng.normal(1, 1, 200_000)))
    assert score.statistic == pytest.approx(2 * NormalDist().cdf(0.5) - 1, abs=0.005)
    for threshold, psi_value in ((KS().moderate, 0.1), (KS().significant, 0.2)):
        assert threshold == pytest.approx(2 * NormalDist().cdf(math.sqrt(psi_value) / 2) - 1, abs=1e-3)


def test_ks_does_not_apply_to_categories():
    part = categorical_profile("x", words("a", "b"))
    assert KS().score(part, part) is None


@pytest.mark.parametrize("rows", [50, 200, 2000])
@pytest.mark.parametrize("detector", [PSI(), KS()], ids=lambda d: d.name)
def test_p_values_without_drift_are_uniform_or_conservative(detector, rows):
    rng = np.random.default_rng(6)
    draws = {
        "continuous": lambda n: rng.standard_normal(n),
        "ties": lambda n: rng.poisson(2, n).astype(float),
        "zeros": lambda n: np.where(rng.random(n) < 0.8, 0.0, rng.lognormal(0, 2, n)),
        "gaps": lambda n: np.where(rng.random(n) < 0.1, np.nan, rng.standard_normal(n)),
    }
    trials = 250
    for name, draw in draws.items():
        values, reference = [], numeric_profile("x", draw(2000))
        for k in range(trials):
            reference = numeric_profile("x", draw(2000)) if k % 10 == 0 else reference
            values.append(detector.score(reference, reference.summarize(draw(rows))).p_value)
        for level in (0.1, 0.01, 0.001):
            # references are shared by ten batches: allow for that beyond the binomial limit
            assert sum(p <= level for p in values) <= 2 + 1.3 * stats.binom.isf(1e-4, trials, level), (
                name,
                level,
            )


def test_natural_variation_must_be_exceeded():
    rng = np.random.default_rng(7)
    reference = numeric_profile("x", rng.normal(0, 1, 10_000))
    batch = reference.summarize(rng.normal(0.5, 1, 1000))
    for detector in (PSI(), KS()):
        plain = detector.score(reference, batch)
        assert plain.p_value < 1e-6
        high = detector.score(replace(reference, variation={detector.name: 0.5}), batch)
        low = detector.score(replace(reference, variation={detector.name: plain.effect / 3}), batch)
        assert high.p_value == 1.0
        assert plain.p_value < low.p_value < 1e-3


@pytest.mark.parametrize(
    ("reference", "current", "phrase"),
    [
        (np.full(100, 12.0), np.full(100, 12.0), ""),
        (np.repeat([12.0, 88.0], [90, 10]), np.repeat([12.0, 88.0], [10, 90]), "median 12 → 88"),
        (np.arange(100.0), np.where(np.arange(100) < 41, np.nan, np.arange(100.0)), "missing 0 % → 41 %"),
        (
            np.arange(100.0),
            np.where(np.arange(100) < 31, 500.0, np.arange(100.0)),
            "31 % of rows above the training range",
        ),
        (
            np.arange(100.0),
            np.where(np.arange(100) < 31, -np.inf, np.arange(100.0)),
            "31 % of rows below the training range",
        ),
        (np.repeat([0.0, 1.0], [60, 40]), np.repeat([0.0, 1.0], [90, 10]), "share of 0: 60 % → 90 %"),
        (
            words(*["a"] * 88, *["b"] * 12),
            words(*["a"] * 88, *["x"] * 6, *["y"] * 4, *["z"] * 2),
            "12 % in 3 categories never seen (x, y, z)",
        ),
        (words(*["a"] * 50, *["b"] * 50), words(*["a"] * 80, *["b"] * 20), 'share of "a" 50 % → 80 %'),
    ],
)
def test_the_detail_says_what_changed(reference, current, phrase):
    make = numeric_profile if reference.dtype != object else categorical_profile
    part = make("x", reference)
    assert PSI().score(part, part.summarize(current)).detail == phrase


def test_cells_of_the_wrong_type_are_called_that():
    part = numeric_profile("x", np.arange(100.0))
    values = np.where(np.arange(100) < 41, np.nan, np.arange(100.0))
    assert PSI().score(part, part.summarize(values, invalid=41)).detail == "not a number 0 % → 41 %"


@pytest.mark.parametrize("detector", [PSI(), KS()], ids=lambda d: d.name)
def test_built_in_detectors_keep_the_contract(detector):
    check_detector(detector)


@dataclass(frozen=True, slots=True)
class MeanShift:
    """A third party's detector, and ways to break it."""

    moderate: float = 0.2
    significant: float = 0.5
    broken: str = ""
    name: str = "mean_shift"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        if reference.kind != "numeric":
            return None
        if self.broken == "raises" and not current.finite:
            raise ZeroDivisionError("no values")
        if self.broken == "nan" and not current.finite:
            return Score(math.nan)
        if not current.finite or not reference.finite:
            return None
        gap, spread = abs(reference.mean - current.mean), max(reference.std or 0, 1e-9)
        if not math.isfinite(gap) or not math.isfinite(spread):
            return None
        if self.broken == "eager":
            return Score(gap / spread, p_value=0.0 if gap else 1.0)
        if self.broken == "blind":
            return Score(0.0)
        if self.broken == "wrong range":
            return Score(gap / spread, p_value=2.0)
        return Score(gap / spread + (0.1 if self.broken == "offset" else 0.0))


def test_a_sound_third_party_detector_passes():
    check_detector(MeanShift())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("raises", "raised ZeroDivisionError"),
        ("nan", "not a finite number"),
        ("eager", "without drift have p <="),
        ("blind", "of a large shift, half missing"),
        ("wrong range", "not within 0 and 1"),
        ("offset", "the same data gives"),
    ],
)
def test_the_contract_suite_says_what_is_wrong(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_detector(MeanShift(broken=broken))


def test_a_class_that_is_no_detector_is_told_so():
    with pytest.raises(AssertionError, match="lacks name"):
        check_detector(object())
