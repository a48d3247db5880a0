"""Natural variation: what a period that is drawn anew may differ by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detectors import Baseline, check
from detectors.profile import numeric_profile
from detectors.psi import PSI, inside_and_outside
from detectors.variation import twice_as_far

NAMES = ("psi", "ks", "chi_square", "jensen_shannon", "wasserstein", "missing_share", "out_of_range")


@pytest.mark.parametrize("sd", [0.05, 0.2, 0.5, 1.0])
def test_twice_as_far_is_what_a_gaussian_shift_of_twice_the_size_costs(sd):
    """Closed forms of a shift by d standard deviations: PSI d^2, Wasserstein d, KS 2 Phi(d/2) - 1."""
    assert twice_as_far("psi", sd**2) == pytest.approx((2 * sd) ** 2)
    assert twice_as_far("wasserstein", sd) == 2 * sd
    once, twice = (2 * stats.norm.cdf(shift / 2) - 1 for shift in (sd, 2 * sd))
    assert 0.9 * twice < twice_as_far("ks", once) < 1.05 * twice


@given(st.sampled_from(NAMES), st.floats(0, 1), st.floats(0, 1))
def test_twice_as_far_grows_with_the_effect_and_keeps_shares_shares(name, one, other):
    low, high = sorted((one, other))
    assert low <= twice_as_far(name, low) <= twice_as_far(name, high)
    if name not in ("psi", "wasserstein"):
        assert twice_as_far(name, high) <= 1


@pytest.mark.parametrize(("times", "verdict"), [(1.7, "stable"), (3.5, "drift")])
def test_a_new_period_may_lie_farther_out_than_those_that_were_seen(times, verdict):
    rng = np.random.default_rng(11)
    week = np.repeat(np.arange(20), 500)
    sizes = 0.5 * np.sin(2 * np.pi * np.arange(20) / 20)
    frame = pd.DataFrame({"week": week, "x": rng.normal(0, 1, 10_000) + sizes[week], "y": rng.random(10_000)})
    batch = pd.DataFrame({"x": rng.normal(0.5 * times, 1, 2_000), "y": rng.random(2_000)})
    alone = [PSI()]  # the tests of all features together go by what they have seen
    assert check(Baseline.fit(frame, period="week"), batch, detectors=alone).verdict == verdict
    assert check(Baseline.fit(frame, ignore=["week"]), batch, detectors=alone).verdict == "drift"


def test_a_season_too_weak_for_any_one_period_to_show_is_known_by_all_together():
    rng = np.random.default_rng(12)
    week = np.repeat(np.arange(20), 300)
    offsets = rng.uniform(-0.2, 0.2, (20, 40))
    names = [f"weak{i}" for i in range(40)]
    weak = pd.DataFrame(rng.normal(0, 1, (6_000, 40)) + offsets[week], columns=names)
    still = pd.DataFrame(rng.normal(0, 1, (6_000, 100)), columns=[f"still{i}" for i in range(100)])
    features = Baseline.fit(pd.concat([weak, still], axis=1).assign(week=week), period="week").features
    known = {name for name, part in features.items() if "psi" in part.variation}
    assert len(known & set(names)) >= 39
    assert len(known - set(names)) <= 6  # one of 20 windows at 0.001 for each
    sizes = pd.Series({name: np.abs(offsets[:, i]).max() for i, name in enumerate(names)})
    for name in known & set(names):  # four times the PSI of a Gaussian shift as far, and of 300 rows
        assert features[name].variation["psi"] >= 2 * sizes[name] ** 2


def weekly(rng: np.random.Generator, week: np.ndarray) -> pd.DataFrame:
    """A mean that moves by one standard deviation with the season, of a quantity that is never missing."""
    x = rng.normal(0, 1, len(week)) + np.sin(2 * np.pi * week / 20)
    return pd.DataFrame({"week": week, "x": x, "y": rng.random(len(week)), "z": rng.normal(size=len(week))})


@pytest.mark.parametrize(
    ("value", "share"), [(np.nan, 0.1), (np.nan, 0.3), (-999.0, 0.1), (-999.0, 0.3), (1e6, 0.2)]
)
def test_a_season_of_the_mean_is_no_reason_for_missing_values_sentinels_or_values_out_of_range(value, share):
    rng = np.random.default_rng(13)
    learned = Baseline.fit(weekly(rng, np.repeat(np.arange(20), 500)), period="week")
    batch = weekly(rng, np.zeros(2_000)).drop(columns="week")
    assert check(learned, batch).verdict == "stable"
    batch.loc[rng.random(2_000) < share, "x"] = value
    found = check(learned, batch)
    assert found.verdict in ("drift", "broken_feed")
    assert "x" in {finding.feature for finding in found.drifted}


def test_twice_as_many_missing_values_as_in_the_worst_period_are_natural_and_four_times_are_drift():
    rng = np.random.default_rng(14)
    frame = weekly(rng, np.repeat(np.arange(20), 500))
    frame.loc[(frame["week"] == 7) & (rng.random(10_000) < 0.06), "x"] = np.nan
    learned = Baseline.fit(frame, period="week")
    for share, verdict in ((0.06, "stable"), (0.1, "stable"), (0.24, "drift")):
        batch = weekly(rng, np.full(2_000, 3)).drop(columns="week")
        batch.loc[rng.random(2_000) < share, "x"] = np.nan
        assert check(learned, batch).verdict == verdict


def test_a_baseline_of_before_keeps_its_floor_of_the_whole_psi():
    rng = np.random.default_rng(15)
    reference = numeric_profile("x", rng.normal(0, 1, 5_000))
    batch = reference.summarize(rng.normal(0.6, 1, 1_000))
    plain = PSI().score(reference, batch)
    high = PSI().score(replace(reference, variation={"psi": 1.1 * plain.effect}), batch)
    low = PSI().score(replace(reference, variation={"psi": plain.effect / 3}), batch)
    assert high.p_value == 1.0 and low.p_value < 1e-6


@given(st.lists(st.integers(0, 60), min_size=9, max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_inside_and_outside_add_up_to_the_corrected_psi(values, missing, beyond):
    reference = numeric_profile("x", np.arange(600.0) % 61)
    cells = np.array([*values, *[np.nan] * missing, *[1e9] * beyond], dtype=float)
    batch = reference.summarize(cells)
    inside, outside = inside_and_outside(reference, batch)
    effect = PSI().score(reference, batch).effect
    assert min(inside, outside) >= 0
    assert inside + outside >= effect - 1e-9
    if not missing + beyond:
        assert outside <= 1e-9 or inside == 0
