"""Intervals against scipy, closed forms, and their own promise: how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from detectors.class_metrics import evaluate_classes
from detectors.intervals import (
    binary_intervals,
    class_intervals,
    clopper_pearson,
    newcombe,
    roc_auc_interval,
)
from detectors.performance import evaluate


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (925, 1000)])
def test_the_exact_interval_is_that_of_scipy(hits, rows):
    got, expected = clopper_pearson(hits, rows), stats.binomtest(hits, rows).proportion_ci(0.95, "exact")
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_rows_there_is_no_interval():
    assert clopper_pearson(0, 0) is None


def test_each_share_is_taken_of_its_own_rows():
    truth = np.repeat([1, 1, 0, 0], [40, 10, 5, 45])
    guess = np.repeat([1, 0, 1, 0], [40, 10, 5, 45])
    got = binary_intervals(evaluate(truth, guess), truth, None)
    assert set(got) == {"accuracy", "precision", "recall", "fpr", "fnr", "f1"}
    for name, share in {
        "accuracy": (85, 100),
        "precision": (40, 45),
        "recall": (40, 50),
        "fpr": (5, 50),
    }.items():
        assert got[name] == clopper_pearson(*share)
    # F1 = 2 J/(1 + J) with Jaccard's share J = tp/(tp + fp + fn)
    jaccard = stats.binomtest(40, 55).proportion_ci(0.95, "exact")
    assert got["f1"].low == pytest.approx(2 * jaccard.low / (1 + jaccard.low))
    assert got["f1"].high == pytest.approx(2 * jaccard.high / (1 + jaccard.high))


def test_what_is_undefined_has_no_interval():
    truth = np.zeros(20)
    got = binary_intervals(evaluate(truth, truth, truth), truth, truth)
    assert set(got) == {"accuracy", "fpr"}


def scores(random, rows):
    truth = (random.random(rows) < 0.4).astype(int)
    return truth, random.normal(truth * 1.0)


def test_the_interval_of_the_area_agrees_with_scipys_bootstrap():
    truth, score = scores(np.random.default_rng(3), 300)
    got = roc_auc_interval(truth, score, roc_auc_score(truth, score), seed=1)
    expected = stats.bootstrap(
        (truth, score), roc_auc_score, paired=True, vectorized=False, n_resamples=600,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=0.012)
    assert got.method == "bootstrap"
    assert got == roc_auc_interval(truth, score, roc_auc_score(truth, score), seed=1), "seeded"


def test_the_interval_of_the_area_holds_the_true_area_as_often_as_it_says():
    area = stats.norm.cdf(1 / np.sqrt(2))  # of two normal distributions one apart
    random = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        truth, score = scores(random, 200)
        got = roc_auc_interval(truth, score, roc_auc_score(truth, score), resamples=400)
        held += got.low <= area <= got.high
    assert held >= stats.binom.ppf(0.001, 200, 0.94)


def test_many_scores_are_resampled_in_groups_around_the_exact_area():
    truth, score = scores(np.random.default_rng(5), 30_000)
    area = roc_auc_score(truth, score)
    got = roc_auc_interval(truth, score, area)
    n = truth.sum() * (1 - truth).sum() / len(truth)
    assert got.low < area < got.high
    assert area == pytest.approx((got.low + got.high) / 2, abs=0.001)
    assert got.high - got.low < 4 * 0.5 / np.sqrt(n)


def test_classes_that_are_wholly_apart_are_no_certainty():
    truth = np.repeat([0, 1], 10)
    got = roc_auc_interval(truth, truth * 1.0, 1.0)
    assert (got.high, got.method) == (1.0, "Newcombe")
    assert 0.6 < got.low < 0.95
    wrong = roc_auc_interval(truth, 1.0 - truth, 0.0)
    assert (wrong.low, wrong.high) == pytest.approx((0.0, 1 - got.low)), "the mirror image"


def test_newcombes_ends_solve_their_equation():
    got = newcombe(0.8, 30, 50)
    for end in (got.low, got.high):
        spread = 1 + (40 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        deviation = np.sqrt(end * (1 - end) * spread / (30 * 50))
        assert abs(end - 0.8) == pytest.approx(1.959964 * deviation)


def test_averages_over_classes_are_resampled_by_rows():
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 400)
    guess = np.where(random.random(400) < 0.8, truth, random.integers(0, 3, 400))
    metrics = evaluate_classes(truth, guess, ("a", "b", "c"))
    got = class_intervals(metrics)
    hits = int((truth == guess).sum())
    assert got["accuracy"] == clopper_pearson(hits, 400)

    from sklearn.metrics import f1_score

    expected = stats.bootstrap(
        (truth, guess), lambda t, g: f1_score(t, g, average="macro"), paired=True, vectorized=False,
        n_resamples=500, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (got["macro_f1"].low, got["macro_f1"].high) == pytest.approx(
        (expected.low, expected.high), abs=0.012
    )
    for name, interval in got.items():
        assert interval.low < getattr(metrics, name) < interval.high
