"""Rows that come in groups: what is chance is the group."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from trainers.clusters import draw_groups, shifts, sign_flip
from trainers.judgement import Cell, compare, matrix, mcnemar

ALTERNATIVES = ("two-sided", "greater", "less")
gains = st.lists(st.integers(-6, 6), min_size=1, max_size=9)


def counted(gained: list[int]) -> tuple[tuple[int, int], ...]:
    rows = np.repeat(np.arange(len(gained)), np.abs(gained))
    return shifts(np.repeat(np.sign(gained), np.abs(gained)), rows)


@settings(deadline=None)
@given(gains)
def test_p_is_the_share_of_all_signs_that_give_as_much(gained: list[int]) -> None:
    signs = np.array(list(product((-1, 1), repeat=len(gained))))
    sums, total = signs @ np.abs(gained), sum(gained)
    if not any(gained):
        expected = [1.0, 1.0, 1.0]
    else:
        expected = [(abs(sums) >= abs(total)).mean(), (sums >= total).mean(), (-sums >= -total).mean()]
    assert [sign_flip(counted(gained), a) for a in ALTERNATIVES] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from(ALTERNATIVES))
def test_with_one_row_a_group_it_is_mcnemars_test(gained: int, lost: int, alternative) -> None:
    assert sign_flip(((1, gained), (-1, lost)), alternative) == pytest.approx(
        mcnemar(gained, lost, alternative)
    )


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_drawn_signs_say_what_all_of_them_do(alternative) -> None:
    found = counted([9, 4, -3, 7, 1, -1, 5, -6, 2, 2, 3, -4, 8, 1])
    drawn = sign_flip(found, alternative, steps=0)
    assert drawn == sign_flip(found, alternative, steps=0)
    assert drawn == pytest.approx(sign_flip(found, alternative), abs=0.008)  # 5 standard errors


def test_draws_never_give_a_p_of_nothing() -> None:
    assert sign_flip(((5_000, 3_000),), "greater") == pytest.approx(1 / 100_000)


def hosts(groups: int, rows: int, seed: int, gain: float = 0.0):
    """Labels, groups, and two models with an error rate in each group of its own, 20 % on average without a gain."""
    rng = np.random.default_rng(seed)
    group_of = np.repeat(np.arange(groups), rows)
    truth = rng.integers(0, 2, groups * rows)
    rates = rng.beta(1, 4, size=(2, groups)) * np.array([[1], [1 - gain]])
    said = [np.where(rng.random(len(truth)) < rate[group_of], 1 - truth, truth) for rate in rates]
    return truth, *said, group_of


@pytest.mark.parametrize("gain", [0.0, 0.5])
def test_related_rows_make_no_gain_of_chance_and_intervals_hold_the_truth(gain: float) -> None:
    cells, naive, runs = [], 0, 150
    for seed in range(runs):
        truth, before, after, group_of = hosts(30, 50, seed, gain)
        cells.append(compare("new", truth, before, after, groups=group_of))
        naive += mcnemar(*cells[-1].decided["accuracy"], "greater") <= 0.05
    moved = [cell.differences["accuracy"] for cell in cells]
    assert np.mean([one.low <= 0.2 * gain <= one.high for one in moved]) >= 0.93
    if gain == 0:
        assert naive / runs > 0.25, "rows taken for independent"
        # 5 % asked: above 9 % would come by chance in 2 of 100.
        assert np.mean([cell.p_gain() <= 0.05 for cell in cells]) <= 0.09
    else:
        assert np.mean([cell.p_gain() <= 0.05 for cell in cells]) > 0.6


def test_one_row_a_group_is_no_group() -> None:
    truth, before, after, _ = hosts(30, 10, 1)
    own = np.random.default_rng(0).permutation(300)
    assert compare("new", truth, before, after, groups=own) == compare("new", truth, before, after)


def test_the_interval_is_that_of_whole_groups_drawn() -> None:
    truth, before, after, group_of = hosts(400, 20, 0, 0.3)
    cell = compare("new", truth, before, after, groups=group_of)
    gained = (after == truth).astype(float) - (before == truth)
    by_group = np.bincount(group_of, weights=gained)
    rng = np.random.default_rng(1)
    means = by_group[rng.integers(0, 400, (4000, 400))].sum(axis=1) / len(truth)
    low, high = np.quantile(means, [0.025, 0.975])
    moved = cell.differences["accuracy"]
    assert moved.value == pytest.approx(gained.mean())
    assert (moved.low, moved.high) == pytest.approx((low, high), abs=0.004)


def test_few_groups_without_a_difference_rule_little_out() -> None:
    ones = np.ones(1000, dtype=int)
    few, many = (compare("old", ones, ones, ones, groups=np.arange(1000) % n) for n in (10, 500))
    assert few.differences["recall"].low < -0.05
    assert -0.02 < many.differences["recall"].low <= 0


def test_many_kinds_of_groups_are_drawn_in_parts() -> None:
    tables = np.random.default_rng(0).integers(0, 50, (3000, 8))
    drawn = draw_groups(tables)
    assert drawn.shape == (4000, 8)
    assert drawn.mean(axis=0) == pytest.approx(tables.sum(axis=0), rel=0.01)


def test_the_test_is_named_and_comes_back_from_json() -> None:
    truth, before, after, group_of = hosts(30, 20, 0, 0.9)
    cell = compare("new", truth, before, after, groups=group_of)
    kept = TypeAdapter(Cell)
    again = kept.validate_json(kept.dump_json(cell))
    assert again == cell
    assert (again.p_value("recall"), again.p_loss()) == (cell.p_value("recall"), cell.p_loss())
    assert cell.test == "sign-flip test over 30 groups"
    before_groups = {
        k: v for k, v in kept.dump_python(cell, mode="json").items() if k not in ("groups", "shifts")
    }
    assert kept.validate_python(before_groups).test == "McNemar's exact test"


def test_each_cell_of_the_matrix_has_its_own_groups() -> None:
    truth, before, after, group_of = hosts(40, 20, 0)
    sides = [{"old": part[:600], "new": part[600:]} for part in (truth, before, after)]
    eras = {"old": np.repeat([0, 1], [400, 200]), "new": np.full(200, 2)}
    cells = matrix(*sides, eras, {}, {"old": group_of[:600], "new": group_of[600:]})
    assert [(cell.holdout, cell.groups) for cell in cells] == [
        ("old", 30), ("era 0", 20), ("era 1", 10), ("new", 10)
    ]  # fmt: skip
