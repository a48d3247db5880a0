"""Metrics from rows with weights are those of the batch that they were drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from detectors.intervals import clopper_pearson
from detectors.performance import evaluate
from detectors.weighted import evaluate_weighted, evaluate_weighted_classes, gain, rate
from trainers.sampling import MIXES, draw, unsure

labels = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(1, 50)), min_size=2, max_size=60)


@given(labels)
def test_rates_are_those_of_rows_that_are_repeated_as_often_as_they_weigh(rows) -> None:
    truth, said = (np.array([row[i] for row in rows], dtype=int) for i in (0, 1))
    weight = np.array([row[2] for row in rows])
    m = evaluate_weighted(truth, said, None, weight).metrics
    assert m.accuracy == pytest.approx(np.average(truth == said, weights=weight))
    known = {"sample_weight": weight, "zero_division": np.nan}
    for mine, theirs in (
        (m.precision, precision_score(truth, said, **known)),
        (m.recall, recall_score(truth, said, **known)),
        (m.f1, f1_score(truth, said, **known)),
    ):
        assert np.isnan(theirs) if mine is None else mine == pytest.approx(theirs)
    assert (m.rows, m.tp + m.fp + m.fn + m.tn) == (len(rows), len(rows))


def test_the_area_under_the_curve_is_scikit_learns_by_weight() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 200)
    score = np.round(0.3 * truth + random.random(200), 1)  # with ties
    weight = random.uniform(1, 20, 200)
    found = evaluate_weighted(truth, (score > 0.6).astype(int), score, weight)
    assert found.metrics.roc_auc == pytest.approx(roc_auc_score(truth, score, sample_weight=weight))
    interval = found.intervals["roc_auc"]
    assert interval.low < found.metrics.roc_auc < interval.high and interval.method == "bootstrap"


def test_of_a_large_plain_sample_the_interval_is_close_to_the_exact_one() -> None:
    hit = np.arange(400) < 340
    found = rate(hit, np.ones(400, dtype=bool), np.full(400, 1e6))
    exact = clopper_pearson(340, 400)
    assert found is not None and exact is not None
    assert found.effective == pytest.approx(400, rel=0.01)
    assert (found.interval.low, found.interval.high) == pytest.approx((exact.low, exact.high), abs=2e-3)


def test_without_a_miss_the_interval_still_leaves_room() -> None:
    found = rate(np.ones(50, dtype=bool), np.ones(50, dtype=bool), np.linspace(1.5, 30, 50))
    assert found is not None and found.value == 1 and found.interval.high == 1
    assert 0.85 < found.interval.low < 0.97 and found.effective < 50


@pytest.mark.parametrize("seed", range(8))
def test_a_rate_of_which_all_rows_are_hits_is_one_to_the_last_bit(seed) -> None:
    random = np.random.default_rng(seed)
    weight, positive = 1 + random.exponential(10, 300), random.random(300) < 0.4
    found = rate(positive, positive, weight)  # a recall of 1
    assert found is not None and (found.value, found.interval.high) == (1, 1)
    assert 20 < found.effective < found.rows and found.interval.low > 0.8


def test_a_batch_that_was_labelled_whole_leaves_nothing_open() -> None:
    found = rate(np.arange(40) < 30, np.ones(40, dtype=bool), np.ones(40))
    assert found is not None and found.interval.low == found.interval.high == found.value == 0.75


def test_a_rate_of_no_rows_is_none() -> None:
    found = evaluate_weighted(np.zeros(5), np.zeros(5), None, np.full(5, 2.0))
    assert found.metrics.recall is None and "recall" not in found.intervals
    assert found.metrics.accuracy == 1


@pytest.mark.parametrize("what", ["accuracy", "precision", "recall", "f1"])
def test_the_interval_covers_the_truth_as_often_as_it_says(what) -> None:
    """Against a known population, drawn as the hybrid draws: 95 % of 400 intervals, but for chance."""
    random = np.random.default_rng(8)
    rows = 3_000
    chance = random.beta(0.3, 0.6, rows)
    truth = (random.random(rows) < np.clip(chance + random.normal(0, 0.15, rows), 0, 1)).astype(int)
    said = (chance > 0.5).astype(int)
    real = getattr(evaluate(truth, said), what)
    arms = {"uncertain": np.sqrt(chance * (1 - chance)) + 1e-3, "drift": random.uniform(0.05, 1, rows)}
    covered, values = 0, []
    for _ in range(400):
        at = draw(arms, MIXES["hybrid"], 300, random, rows=rows)
        found = evaluate_weighted(truth[at.at], said[at.at], None, 1 / at.chance)
        interval = found.intervals[what]
        covered += interval.low <= real <= interval.high
        values.append(getattr(found.metrics, what))
    assert covered >= 363  # P of fewer at 95 %: 0.0003
    assert abs(np.mean(values) - real) < 0.004  # a ratio's bias is of the order 1/n


def test_effective_counts_have_the_rates_of_the_batch_and_no_more_rows_than_were_labelled() -> None:
    random = np.random.default_rng(3)
    truth, said = random.integers(0, 2, 500), random.integers(0, 2, 500)
    found = evaluate_weighted(truth, said, None, random.uniform(1, 40, 500))
    counts = found.effective
    assert counts.rows == counts.tp + counts.fp + counts.fn + counts.tn <= 501
    assert (counts.tp + counts.tn) / counts.rows == pytest.approx(found.metrics.accuracy, abs=0.01)
    assert counts.rows < 450  # unequal weights tell less


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(1, 50)), min_size=2, max_size=60))
def test_of_several_classes_rates_are_those_of_repeated_rows_too(rows) -> None:
    truth, said = (np.array([row[i] for row in rows]) for i in (0, 1))
    weight = np.array([row[2] for row in rows])
    found = evaluate_weighted_classes(truth, said, ("a", "b", "c"), weight)
    m = found.metrics
    assert m.accuracy == pytest.approx(np.average(truth == said, weights=weight))
    known = {"labels": [0, 1, 2], "sample_weight": weight, "zero_division": np.nan}
    recalls = recall_score(truth, said, average=None, **known)
    for name, theirs in zip("abc", recalls, strict=True):
        assert np.isnan(theirs) if m.recall[name] is None else m.recall[name] == pytest.approx(theirs)
    assert m.macro_recall == pytest.approx(np.nanmean(recalls))
    precisions = precision_score(truth, said, average=None, **known)[np.unique(truth)]
    if np.isnan(precisions).all():
        assert m.macro_precision is None
    else:
        assert m.macro_precision == pytest.approx(np.nanmean(precisions))
    assert (m.rows, sum(m.support.values())) == (len(rows), len(rows))
    assert set(found.intervals) == {"accuracy"}
    assert found.effective.rows == sum(found.effective.support.values()) <= len(rows) + 4


def test_a_model_of_two_classes_by_name_has_the_accuracy_and_interval_of_two() -> None:
    random = np.random.default_rng(0)
    truth, weight = random.integers(0, 2, 300), random.uniform(1, 9, 300)
    said = np.where(random.random(300) < 0.9, truth, 1 - truth)
    two = evaluate_weighted(truth, said, None, weight)
    named = evaluate_weighted_classes(truth, said, ("no", "yes"), weight)
    assert named.metrics.accuracy == two.metrics.accuracy
    assert named.intervals["accuracy"] == two.intervals["accuracy"]
    assert named.metrics.recall["yes"] == two.metrics.recall
    assert named.unweighted == two.unweighted
    assert named.effective.right == two.effective.right


def two_models(seed: int, apart: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of 3,000 rows: what the champion thinks of them, and where it and a challenger are right, independently."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, 3000)
    ours, theirs = (random.normal(far * (2 * truth - 1), 1) for far in (1.2, apart))
    return 1 / (1 + np.exp(-2.4 * ours)), (ours > 0) == truth, (theirs > 0) == truth


def gains(strategy: str, rows: int, apart: float) -> tuple[float, float, float, float]:
    """Over 120 samples: how often more and less is found, how often the truth is in the interval, the mean error."""
    more = less = covered = 0
    errors = []
    for seed in range(120):
        chance, ours, theirs = two_models(seed, apart)
        arms = {"uncertain": unsure(chance)}
        mix = {arm: share for arm, share in MIXES[strategy].items() if arm != "drift"}
        drawn = draw(arms, mix, rows, np.random.default_rng(seed), rows=len(chance))
        value, interval = gain(theirs[drawn.at], ours[drawn.at], 1 / drawn.chance)
        real = theirs.mean() - ours.mean()
        more, less = more + (interval.low > 0), less + (interval.high < 0)
        covered += interval.low <= real <= interval.high
        errors.append(value - real)
    return more / 120, less / 120, covered / 120, float(np.mean(errors))


@pytest.mark.parametrize("strategy", ["hybrid", "uncertain"])
@pytest.mark.parametrize("rows", [60, 300])
def test_a_draw_by_the_champions_doubts_favours_nobody(strategy, rows) -> None:
    more, less, covered, error = gains(strategy, rows, 1.2)
    assert more + less <= 0.1 and covered >= 0.9
    assert abs(error) < 0.015


@pytest.mark.parametrize("strategy", ["hybrid", "uncertain"])
def test_a_true_gain_is_found(strategy) -> None:
    more, less, covered, error = gains(strategy, 300, 2.0)
    assert more >= 0.7 and less == 0 and covered >= 0.9
    assert abs(error) < 0.01


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(1, 50)), min_size=2, max_size=60))
def test_a_gain_is_that_of_repeated_rows_and_turns_with_the_models(rows) -> None:
    theirs, ours = (np.array([row[i] for row in rows]) for i in (0, 1))
    weight = np.array([row[2] for row in rows])
    value, interval = gain(theirs, ours, weight)
    assert value == pytest.approx(np.average(theirs.astype(int) - ours, weights=weight), abs=1e-9)
    assert interval.low <= value <= interval.high
    turned, other = gain(ours, theirs, weight)
    assert (turned, other.low, other.high) == pytest.approx((-value, -interval.high, -interval.low), abs=1e-9)


def test_of_a_large_plain_sample_a_gain_has_the_interval_of_paired_shares() -> None:
    """p ± 1.96 sqrt((b + c - (b - c)²/n)/n²), Wald's: with this many rows all are alike."""
    won, lost, rows = 900, 700, 20_000
    kind = np.arange(rows)
    value, interval = gain(kind < won, (won <= kind) & (kind < won + lost), np.full(rows, 1e7))
    half = 1.96 * np.sqrt(won + lost - (won - lost) ** 2 / rows) / rows
    assert value == pytest.approx(0.01)
    assert (interval.low, interval.high) == pytest.approx((value - half, value + half), abs=2e-4)


def test_a_gain_on_a_batch_that_was_labelled_whole_is_no_estimate() -> None:
    value, interval = gain(np.arange(40) < 30, np.arange(40) < 20, np.ones(40))
    assert interval.low == interval.high == value == 0.25
    with pytest.raises(ValueError, match="no rows"):
        gain(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), np.zeros(0))
