"""Metrics of several classes against scikit-learn, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from detectors.class_metrics import class_breaches, evaluate_classes
from detectors.metrics import Thresholds

NAMES = ("BENIGN", "DDoS", "PortScan", "Web")
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_they_agree_with_scikit_learn(pairs):
    truth, guess = (np.array(side) for side in zip(*pairs, strict=True))
    got = evaluate_classes(truth, guess, NAMES)
    assert got.confusion == tuple(map(tuple, sk.confusion_matrix(truth, guess, labels=range(4)).tolist()))
    assert got.accuracy == pytest.approx(sk.accuracy_score(truth, guess))
    for name in ("precision", "recall", "f1"):
        score, occur = getattr(sk, f"{name}_score"), np.unique(truth)
        each = score(truth, guess, labels=occur, average=None, zero_division=np.nan)
        macro = getattr(got, f"macro_{name}")
        assert macro is None if np.isnan(each).all() else macro == pytest.approx(np.nanmean(each))
    recall = sk.recall_score(truth, guess, labels=range(4), average=None, zero_division=np.nan)
    for i, name in enumerate(NAMES):
        assert got.support[name] == (truth == i).sum()
        assert got.recall[name] == (None if np.isnan(recall[i]) else pytest.approx(recall[i]))


def test_a_class_that_nothing_belongs_to_counts_in_no_average():
    got = evaluate_classes(np.array([0, 0, 1]), np.array([0, 0, 1]), NAMES)
    assert (got.macro_recall, got.macro_precision, got.weighted_f1, got.recall["Web"]) == (1, 1, 1, None)


def test_a_stray_row_that_is_taken_for_an_absent_class_costs_no_more_than_itself():
    got = evaluate_classes(np.repeat([0, 1], 50), np.repeat([0, 3, 1], [49, 1, 50]), NAMES)
    assert (got.macro_precision, got.macro_recall) == (1, 0.99)


def test_without_rows_nothing_is_defined():
    got = evaluate_classes(np.array([], int), np.array([], int), NAMES)
    assert (got.rows, got.accuracy, got.macro_f1) == (0, None, None)
    assert class_breaches(got, Thresholds()) == ()


def test_the_limits_of_accuracy_precision_and_recall_are_held_against_the_macro_averages():
    truth = np.repeat([0, 1, 2], [90, 5, 5])
    got = evaluate_classes(truth, np.zeros(100, int), NAMES[:3])
    assert got.macro_recall == pytest.approx(1 / 3)
    assert class_breaches(got, Thresholds()) == ("macro recall 0.333 is below 0.85",)
    assert class_breaches(got, Thresholds(min_accuracy=0.95, min_recall=None)) == (
        "accuracy 0.900 is below 0.95",
    )


@pytest.mark.parametrize(("truth", "guess"), [([0, 1], [0]), ([0, 4], [0, 1]), ([-1], [0])])
def test_bad_positions_are_refused(truth, guess):
    with pytest.raises(ValueError, match="must be"):
        evaluate_classes(np.array(truth), np.array(guess), NAMES)
