"""Which rows are drawn to be labelled: the chances are those that are said, and what they promise holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from detectors import Baseline
from detectors.table import coded_frame
from trainers.sampling import (
    MIXES,
    draw,
    explained,
    groups,
    inclusion,
    pivotal,
    rare,
    read_pool,
    strangeness,
    unsure,
)

sizes = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60).map(np.array)


@given(sizes, st.integers(1, 60))
def test_chances_sum_to_n_are_at_most_one_and_grow_with_the_size(size, n) -> None:
    chance = inclusion(size, n)
    assert chance.sum() == pytest.approx(min(n, len(size)))
    assert (chance > 0).all() and (chance <= 1).all()
    order = np.argsort(size, kind="stable")
    assert (np.diff(chance[order]) >= -1e-12).all()


@given(sizes, st.integers(1, 60))
def test_rows_that_are_not_certain_have_chances_in_proportion_to_their_sizes(size, n) -> None:
    chance = inclusion(size, n)
    rest = chance < 1 - 1e-12
    if rest.sum() > 1:
        ratio = chance[rest] / size[rest]
        assert np.allclose(ratio, ratio[0])
        assert (size[~rest] >= size[rest].max()).all()


@given(sizes, st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_exactly_n_rows_are_drawn(size, n, seed) -> None:
    chance = inclusion(size, n)
    drawn = pivotal(chance, np.random.default_rng(seed))
    assert drawn.sum() == min(n, len(size))
    assert drawn[chance >= 1].all()


def outside(hits: np.ndarray, chance: np.ndarray, trials: int, level: float = 1e-6) -> np.ndarray:
    """Rows whose frequency a binomial of that chance would not give but once in a million times, on either side."""
    low = binom.cdf(hits, trials, chance) < level
    return low | (binom.sf(hits - 1, trials, chance) < level)


@pytest.mark.parametrize("shuffled", [False, True])
def test_each_row_is_drawn_as_often_as_its_chance_says(shuffled) -> None:
    random = np.random.default_rng(5)
    chance = inclusion(random.pareto(1.0, 80) + 0.05, 20)
    assert 0 < (chance == 1).sum() < 20  # some are certain
    trials, hits = 4_000, np.zeros(80, dtype=int)
    for _ in range(trials):
        order = random.permutation(80) if shuffled else np.arange(80)
        hits[order] += pivotal(chance[order], random)
    assert not outside(hits, chance, trials).any()


def population(rows: int = 400, seed: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whether a model is right on each row, and two arms that prefer rows on which it is wrong."""
    random = np.random.default_rng(seed)
    right = random.random(rows) < 0.8
    uncertain = np.where(right, 0.3, 3.0) * random.uniform(0.5, 1.5, rows)
    return right, {"uncertain": uncertain, "drift": random.uniform(0.01, 1, rows) ** 3}


@pytest.mark.parametrize("spread", [False, True])
def test_the_rows_of_the_control_arm_are_a_plain_random_sample(spread) -> None:
    right, arms = population(60)
    arms["uncertain"][:3] = 1e4  # certain to be drawn, and yet in the control no more often than others
    random, trials = np.random.default_rng(2), 4_000
    hits = np.zeros(len(right), dtype=int)
    for _ in range(trials):
        drawn = draw(arms, MIXES["hybrid"], 20, random, spread=spread, rows=len(right))
        hits[drawn.at[[arm == "random" for arm in drawn.arm]]] += 1
    assert not outside(hits, np.full(len(right), MIXES["hybrid"]["random"] * 20 / 60), trials).any()


@pytest.mark.parametrize("strategy", ["hybrid", "uncertain", "drift", "time", "random"])
def test_the_weighted_total_is_unbiased_whatever_rows_were_likelier(strategy) -> None:
    right, arms = population()
    needed = {arm: size for arm, size in arms.items() if arm in MIXES[strategy]}
    random, found, plain = np.random.default_rng(3), [], []
    for _ in range(1_500):
        drawn = draw(needed, MIXES[strategy], 60, random, spread=strategy == "time", rows=len(right))
        found.append((right[drawn.at] / drawn.chance).sum() / len(right))
        plain.append(right[drawn.at].mean())
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - right.mean()) < 4.5 * error  # 7e-6 by chance
    if strategy in ("hybrid", "uncertain"):
        assert np.mean(plain) < right.mean() - 0.1  # without the weights it would be far off


def test_no_weight_of_the_hybrid_is_above_twice_that_of_a_plain_sample() -> None:
    _, arms = population()
    arms["uncertain"] = arms["uncertain"] ** 8
    drawn = draw(arms, MIXES["hybrid"], 60, np.random.default_rng(0), rows=400)
    assert (1 / drawn.chance).max() <= 2 * 400 / 60 + 1e-9


def test_an_arm_that_cannot_be_had_leaves_its_share_to_the_others() -> None:
    _, arms = population()
    drawn = draw({"drift": arms["drift"]}, MIXES["hybrid"], 60, np.random.default_rng(0), rows=400)
    assert drawn.shares == pytest.approx({"random": 2 / 3, "drift": 1 / 3})
    assert set(drawn.arm) == {"random", "drift"}


def test_of_few_rows_all_are_drawn_with_certainty() -> None:
    _, arms = population(30)
    drawn = draw(arms, MIXES["hybrid"], 60, np.random.default_rng(0), rows=30)
    assert drawn.at.tolist() == list(range(30)) and (drawn.chance == 1).all()


def test_spread_over_time_one_row_comes_from_each_stretch() -> None:
    drawn = draw({}, MIXES["time"], 50, np.random.default_rng(0), spread=True, rows=1_000)
    assert np.abs(drawn.at - (20 * np.arange(50) + 9.5)).max() <= 40  # within two stretches of 20
    assert explained(drawn, spread=True)[0] == "at random, spread over the rows"


def table(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    moved = random.random(rows) < (0.2 if shift else 0.0)
    return pd.DataFrame(
        {
            "a": random.normal(0, 1, rows) + shift * moved,
            "b": random.normal(0, 1, rows),
            "word": random.choice(["x", "y"], rows),
            "moved": moved,
        }
    )


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(table(5_000, 1), ignore=["moved"])


def test_rows_of_a_new_kind_are_stranger_than_those_that_are_known(baseline) -> None:
    batch = table(3_000, 2, shift=6.0)
    chance = strangeness(baseline.table, coded_frame(list(baseline.features.values()), batch))
    assert chance is not None and chance.shape == (3_000,)
    moved = batch["moved"].to_numpy()
    assert np.median(chance[moved]) > 0.8
    assert np.quantile(chance[~moved], 0.9) < np.median(chance[moved]) - 0.2


def test_of_too_few_rows_nothing_is_strange(baseline) -> None:
    few = coded_frame(list(baseline.features.values()), table(50, 2))
    assert strangeness(baseline.table, few) is None


def test_each_group_is_drawn_about_as_often_as_any_other(baseline) -> None:
    batch = table(3_000, 3, shift=8.0)
    codes = coded_frame(list(baseline.features.values()), batch)
    group = groups(codes, 40)
    assert group.max() + 1 == 8
    shares = np.bincount(group, weights=rare(group))
    assert np.allclose(shares, shares[0])


def test_a_large_batch_is_a_pool_of_bounded_size_with_the_numbers_of_its_rows(tmp_path) -> None:
    whole = pd.DataFrame({"n": np.arange(1, 30_001), "text": [f"row {i}" for i in range(1, 30_001)]})
    whole.to_csv(tmp_path / "batch.csv", index=False)
    pool = read_pool(tmp_path / "batch.csv", frozenset({"n"}), frozenset({"text"}), most=2_000, seed=4)
    assert (pool.total, len(pool.rows), pool.chance) == (30_000, 2_000, 2_000 / 30_000)
    assert (np.diff(pool.rows) > 0).all()
    assert pool.sample.numeric["n"].tolist() == pool.rows.tolist()
    assert pool.sample.categorical["text"].tolist() == [f"row {i}" for i in pool.rows]
    again = read_pool(tmp_path / "batch.csv", frozenset({"n"}), frozenset({"text"}), most=2_000, seed=4)
    assert again.rows.tolist() == pool.rows.tolist()


def test_a_folder_of_parts_is_numbered_from_its_first_part_on(tmp_path) -> None:
    folder = tmp_path / "batch.parquet"
    folder.mkdir()
    for part in range(3):
        pd.DataFrame({"n": np.arange(1, 101) + 100 * part}).to_csv(folder / f"part-{part}.csv", index=False)
    pool = read_pool(folder, frozenset({"n"}), frozenset())
    assert pool.rows.tolist() == list(range(1, 301)) == pool.sample.numeric["n"].tolist()


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_same_seed_draws_the_same_rows(seed) -> None:
    _, arms = population(100)
    first, second = (draw(arms, MIXES["hybrid"], 20, np.random.default_rng(seed), rows=100) for _ in range(2))
    assert first.at.tolist() == second.at.tolist() and first.arm == second.arm


def test_the_less_sure_of_several_classes_a_model_is_the_more_a_row_is_worth() -> None:
    confidence = np.linspace(0, 0.999, 50)  # of ten classes it may say one with 0.2
    assert (np.diff(unsure(confidence, several=True)) < 0).all()
    assert unsure(confidence, several=True) == pytest.approx(1 - confidence)
    assert (unsure(np.array([0.0, 1.0]), several=True) > 0).all()
    of_two = np.array([0.1, 0.5, 0.9])
    assert unsure(of_two) == pytest.approx(np.sqrt(of_two * (1 - of_two)))
