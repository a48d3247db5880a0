"""Spearman's correlation of every pair: closed forms, honest p-values, and what it must not be moved by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from detectors import Baseline, check
from detectors.codes import MISSING, CodedRows
from detectors.correlation import Correlation


def rows_of(codes: np.ndarray, **variation: float) -> CodedRows:
    width = codes.shape[1]
    return CodedRows(tuple("abcdefgh"[:width]), ("numeric",) * width, codes.astype(np.uint8), variation)


def drawn(rho: float, rows: int, seed: int, width: int = 2) -> np.ndarray:
    cov = np.full((width, width), rho)
    np.fill_diagonal(cov, 1)
    values = np.random.default_rng(seed).multivariate_normal(np.zeros(width), cov, rows)
    return np.clip(np.floor(stats.norm.cdf(values) * 32), 0, 31) + 1


def p_value(whole: np.ndarray, rows: int) -> float:
    """Of what follows the first so many rows, against them."""
    score = Correlation().score_table(rows_of(whole[:rows]), rows_of(whole[rows:]))
    assert score is not None and score.p_value is not None
    return score.p_value


def assert_honest(p_values: list[float], levels: tuple[float, ...]) -> None:
    """No level is undercut more often than a binomial of that level would once in 1,000 times."""
    for level in levels:
        hits = sum(p <= level for p in p_values)
        assert stats.binom.sf(hits - 1, len(p_values), level) > 1e-3, (level, hits)


def test_the_change_is_that_of_spearmans_rho():
    # of a Gaussian pair, Spearman's rho is 6/pi arcsin(rho/2)
    score = Correlation().score_table(rows_of(drawn(0.8, 4000, 1)), rows_of(drawn(0.3, 2000, 2)))
    exact = 6 / np.pi * (np.arcsin(0.4) - np.arcsin(0.15))
    assert score is not None and score.statistic == pytest.approx(exact, abs=0.04)
    assert score.p_value == 0.0005  # one of 2,000 deals: itself


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("rows", [200, 1000])
def test_p_values_without_drift_are_not_too_small(rows, rho):
    def table(seed: int) -> np.ndarray:
        whole = drawn(rho, 2000 + rows, seed, width=3)
        whole[:, 2] = np.where(whole[:, 2] < 18, 1, whole[:, 2])  # ties in more than half of a column
        return whole

    assert_honest([p_value(table(seed), 2000) for seed in range(400)], (0.2, 0.05, 0.01))


def test_constants_categories_and_gaps_are_left_out_and_few_rows_are_no_answer():
    codes = drawn(0.5, 1000, 3)
    flat = np.column_stack([codes, np.full(1000, 7)])
    assert Correlation().score_table(rows_of(flat[:, 1:]), rows_of(flat[:, 1:])) is None
    assert Correlation().score_table(rows_of(codes[:199]), rows_of(codes)) is None
    words = CodedRows(("a", "b"), ("categorical", "numeric"), codes.astype(np.uint8))
    assert Correlation().score_table(words, words) is None
    holes = codes.copy()
    holes[::3, 0] = MISSING
    score = Correlation().score_table(rows_of(holes), rows_of(holes))
    assert score is not None and (score.statistic, score.p_value) == (0.0, 1.0)


def test_what_the_reference_s_own_periods_vary_by_is_no_drift():
    before, after = drawn(0.8, 4000, 1), drawn(0.5, 1000, 2)
    floored = Correlation().score_table(rows_of(before, correlation=0.5), rows_of(after))
    assert floored is not None and (floored.p_value, floored.effect) == (1.0, 0.0)


def test_a_correlation_that_few_rows_carry_raises_no_alarm_by_their_number():
    """Flights that land after midnight: a few rows hold a correlation down that all the others have higher."""

    def table(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        leaves = rng.integers(1, 33, 4200)
        lands = np.where(rng.random(4200) < 0.02, 1, np.minimum(leaves + rng.integers(0, 4, 4200), 32))
        return np.column_stack([leaves, lands, rng.integers(1, 33, 4200)])

    assert_honest([p_value(table(seed), 4000) for seed in range(200)], (0.05, 0.01, 0.004))


def test_columns_that_nearly_repeat_each_other_change_by_nothing_that_matters():
    first = np.random.default_rng(4).integers(1, 33, 5000)
    twin = first.copy()
    twin[4000:] = np.clip(twin[4000:] + np.random.default_rng(5).integers(-2, 3, 1000), 1, 32)
    score = Correlation().score_table(
        rows_of(np.column_stack([first, twin])[:4000]), rows_of(np.column_stack([first, twin])[4000:])
    )
    assert score is not None and score.statistic < 0.02 and score.p_value is not None and score.p_value > 0.05


def test_one_that_repeated_another_and_does_so_no_more_is_found_among_many():
    random = np.random.default_rng(6)
    before, after = random.integers(1, 33, (4000, 8)), random.integers(1, 33, (200, 8))
    before[:, 1] = before[:, 0]
    score = Correlation().score_table(rows_of(before), rows_of(after))
    assert score is not None and score.p_value == 0.0005 and score.statistic > 0.8
    assert score.detail.startswith("rank correlation of a and b 0.99")


@pytest.mark.parametrize("rows", [300, 1000, 4000])
def test_a_material_loss_of_a_close_correlation_is_seen_whatever_the_size_of_the_reference(rows):
    score = Correlation().score_table(rows_of(drawn(0.98, rows, 1)), rows_of(drawn(0.75, 2000, 2)))
    assert score is not None and score.statistic > 0.15 and score.p_value == 0.0005


def phases(random: np.random.Generator, when: np.ndarray) -> pd.DataFrame:
    """Eight features that follow a weak cycle at different phases, two of which go together besides."""
    phase, size = np.linspace(0, 2 * np.pi, 8, endpoint=False), np.linspace(0.3, 0.6, 8)
    values = random.normal(size=(len(when), 8)) + size * np.sin(2 * np.pi * when[:, None] / 20 + phase)
    values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]
    return pd.DataFrame(values, columns=list("abcdefgh"))


def test_what_goes_together_otherwise_within_a_phase_is_natural_and_a_lost_connection_is_not() -> None:
    random = np.random.default_rng(5)
    when = np.repeat(np.arange(20), 400)
    learned = Baseline.fit(phases(random, when).assign(period=when), period="period")
    assert learned.table is not None
    assert learned.table.variation["correlation"] > 0.1
    verdicts = []
    for phase in range(20):
        batch = phases(random, np.full(1500, phase))
        verdicts.append(check(learned, batch, detectors=[Correlation()]).verdict)
        batch["b"] = random.permutation(batch["b"].to_numpy())
        assert check(learned, batch, detectors=[Correlation()]).verdict == "drift"
    assert verdicts.count("stable") == 20


def test_periods_too_short_to_tell_a_change_from_chance_set_a_floor_all_the_same() -> None:
    when = np.repeat(np.arange(20), 250)
    frame = pd.DataFrame(np.random.default_rng(6).normal(size=(5000, 6)), columns=list("abcdef"))
    learned = Baseline.fit(frame.assign(period=when), period="period")
    assert learned.table is not None
    whole = np.corrcoef(frame.to_numpy(), rowvar=False)
    parts = [np.corrcoef(frame[when == k].to_numpy(), rowvar=False) for k in range(20)]
    farthest = max(float(np.abs(part - whole).max()) for part in parts)  # of normals, nearly that of ranks
    assert learned.table.variation["correlation"] == pytest.approx(farthest, abs=0.06)


def test_what_chance_makes_of_a_natural_change_is_natural_too() -> None:
    before = drawn(0.4, 4_000, 1)
    p_values = []
    for seed in range(200):
        score = Correlation(deals=99).score_table(
            rows_of(before, correlation=0.15), rows_of(drawn(0.25, 200, seed + 2))
        )
        assert score is not None and score.p_value is not None
        p_values.append(score.p_value)
    assert sum(p <= 0.05 for p in p_values) <= 18  # 10 expected at most, and their chance
    gone = Correlation().score_table(rows_of(before, correlation=0.15), rows_of(drawn(-0.2, 1_000, 9)))
    assert gone is not None and gone.p_value == 0.0005
