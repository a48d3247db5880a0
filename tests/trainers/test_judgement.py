from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from trainers.judgement import compare, matrix, mcnemar


def test_mcnemar_is_the_binomial_tail() -> None:
    # 5 rows won, none lost: (1/2)^5.  3 won, 1 lost: P[Bin(4, 1/2) >= 3] = 5/16.
    assert mcnemar(5, 0, "greater") == pytest.approx(1 / 32)
    assert mcnemar(3, 1, "greater") == pytest.approx(5 / 16)
    assert mcnemar(1, 3, "less") == pytest.approx(5 / 16)
    assert mcnemar(5, 0) == pytest.approx(1 / 16)
    assert mcnemar(0, 0) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_one_more_row_won_never_makes_the_gain_less_certain(gained: int, lost: int) -> None:
    p = mcnemar(gained, lost, "greater")
    assert 0 < p <= 1
    assert mcnemar(gained, lost) == pytest.approx(mcnemar(lost, gained))
    if gained + lost:  # with no row between them p is 1 by convention, one row gives 1/2
        assert mcnemar(gained + 1, lost, "greater") <= p + 1e-12
        assert p == pytest.approx(binomtest(gained, gained + lost, alternative="greater").pvalue)


def models(rows: int, seed: int, first: float = 0.9, second: float = 0.93, same: float = 0.6):
    """Labels, and two models that are right so often; in a share of the rows both by the same draw."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    luck, other = rng.random(rows), rng.random(rows)
    right = luck < first, np.where(rng.random(rows) < same, luck, other) < second
    return truth, *(np.where(hit, truth, 1 - truth) for hit in right)


def test_the_interval_is_that_of_resampled_rows() -> None:
    truth, before, after = models(2000, 0)
    cell = compare("new", truth, before, after)
    for metric, rows in (("accuracy", truth >= 0), ("recall", truth == 1)):
        right = (after == truth)[rows].astype(float) - (before == truth)[rows]
        expected = bootstrap(
            (right,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
        ).confidence_interval
        moved = cell.differences[metric]
        assert moved.value == pytest.approx(right.mean())
        assert moved.low == pytest.approx(expected.low, abs=0.002)
        assert moved.high == pytest.approx(expected.high, abs=0.002)
    assert cell.differences["fpr"].value == pytest.approx(cell.challenger.fpr - cell.champion.fpr)


@pytest.mark.parametrize("rows", [30, 300])
def test_the_interval_covers_the_true_difference(rows: int) -> None:
    covered = 0
    for seed in range(300):
        moved = compare("new", *models(rows, seed, 0.95, 0.98)).differences["accuracy"]
        covered += moved.low <= 0.03 <= moved.high
    # 95 % asked: below 92 % would come by chance in less than 2 of 100.
    assert covered / 300 >= 0.92


def test_the_interval_covers_a_gain_in_one_class_alone() -> None:
    """How many rows of that class a hold-out has is chance as well."""
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 150)
        before = np.where(rng.random(150) < 0.1, truth, 0)
        moved = compare("new", truth, before, truth).differences["accuracy"]
        covered += moved.low <= 0.45 <= moved.high
    assert covered / 300 >= 0.92


def test_a_few_rows_without_a_difference_do_not_rule_one_out() -> None:
    small, large = (compare("era 1", *[np.ones(n, dtype=int)] * 3).differences["recall"] for n in (10, 5000))
    assert small.low < -0.05
    assert -0.002 < large.low <= 0 == large.value <= large.high < 0.002


def test_the_same_rows_give_the_same_numbers() -> None:
    truth, before, after = models(500, 3)
    order = np.random.default_rng(0).permutation(500)
    assert compare("old", truth, before, after) == compare("old", truth[order], before[order], after[order])


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=1, max_size=40))
def test_any_rows_can_be_judged(rows: list[tuple[int, int, int]]) -> None:
    truth, before, after = np.array(rows).T
    cell = compare("new", truth, before, after)
    assert set(cell.differences) <= {"accuracy", "recall", "precision", "fpr"}
    for name, moved in cell.differences.items():
        assert -1 <= moved.low <= moved.value <= moved.high <= 1
        assert moved.value == pytest.approx(getattr(cell.challenger, name) - getattr(cell.champion, name))
    gained, lost = cell.decided["accuracy"]
    assert gained - lost == round(cell.differences["accuracy"].value * len(rows))


def test_the_matrix_has_a_row_for_each_past_era() -> None:
    truth, before, after = models(600, 1)
    sides = [{"old": part[:400], "new": part[400:]} for part in (truth, before, after)]
    eras = {"old": np.repeat([0, 1], [300, 100]), "new": np.full(200, 2)}
    cells = matrix(*sides, eras, {0: ["base.csv"], 1: ["scan.csv"], 2: ["slow.csv"]})
    assert [(cell.holdout, cell.rows, cell.files) for cell in cells] == [
        ("old", 400, ("base.csv", "scan.csv")),
        ("era 0", 300, ("base.csv",)),
        ("era 1", 100, ("scan.csv",)),
        ("new", 200, ("slow.csv",)),
    ]
    for metric in ("tp", "tn", "fp", "fn"):
        whole, *parts = (getattr(cell.challenger, metric) for cell in cells[:3])
        assert whole == sum(parts)
    only = matrix(*({"old": s["old"]} for s in sides), {"old": np.zeros(400, dtype=int)}, {0: ["base.csv"]})
    assert [cell.holdout for cell in only] == ["old"]  # the base era alone is the old hold-out
