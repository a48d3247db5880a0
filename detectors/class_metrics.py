"""Metrics of a classifier with more than two classes: averages over the classes, each class, the confusion."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from detectors.metrics import MEANS, RATES, ClassMetrics, Metrics, Thresholds
from detectors.performance import below, evaluate


def measured(
    truth: np.ndarray, predicted: np.ndarray, probability: np.ndarray | None, classes: Sequence[str]
) -> Metrics | ClassMetrics:
    """Metrics of predictions: among several classes, or of 0 and 1 where none are named.

    Args:
        truth / predicted: positions in `classes`, or 0 and 1; shape (rows,).
        probability: of class 1, or None; of several classes it is not looked at.
        classes: names, empty for two classes.
    """
    return evaluate_classes(truth, predicted, classes) if classes else evaluate(truth, predicted, probability)


def evaluate_classes(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> ClassMetrics:
    """Metrics of predictions among several classes, by scikit-learn.

    A class without a prediction has no precision (`zero_division=nan`), one without rows counts in no mean: so a rare
    class that happens to be absent does not look like a failure, nor does one stray row that is taken for it.
    (scikit-learn's default counts such a precision as 0, with a warning.) Macro precision alone is therefore no worse
    for a class that is never predicted any more: its recall is 0, so macro recall falls by as much as macro precision
    would, and the gate and the comparison with the hold-outs ask for the recall of each class.

    Args:
        truth / predicted: positions in `classes`, int, shape (rows,).
        classes: names.

    Raises:
        ValueError: the shapes differ, or a position is none of `classes`.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, predicted {predicted.shape}: both must be (rows,)")
    places = np.arange(len(classes))
    if not (np.isin(truth, places).all() and np.isin(predicted, places).all()):
        raise ValueError(f"labels must be positions in the {len(classes)} classes")
    rows = len(truth)
    matrix = confusion_matrix(truth, predicted, labels=places) if rows else np.zeros((len(places),) * 2, int)
    numbers: dict[str, float | None] = {}
    support = matrix.sum(axis=1)
    occur = places[support > 0]
    for mean in MEANS:
        values: Sequence[float] = (np.nan,) * 3
        if rows:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no class at all
                values = precision_recall_fscore_support(
                    truth, predicted, labels=occur, average=mean, zero_division=np.nan
                )[:3]
        numbers |= {f"{mean}_{rate}": _defined(value) for rate, value in zip(RATES, values, strict=True)}
    return ClassMetrics(
        rows=rows,
        accuracy=float(np.trace(matrix)) / rows if rows else None,
        **numbers,
        classes=tuple(classes),
        recall={
            name: float(matrix[i, i] / support[i]) if support[i] else None for i, name in enumerate(classes)
        },
        support={name: int(support[i]) for i, name in enumerate(classes)},
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )


def class_breaches(metrics: ClassMetrics, thresholds: Thresholds) -> tuple[str, ...]:
    """Each threshold that has a meaning for several classes and is not met; see `performance.breaches`."""
    asked = (
        ("accuracy", metrics.accuracy, thresholds.min_accuracy),
        ("macro precision", metrics.macro_precision, thresholds.min_precision),
        ("macro recall", metrics.macro_recall, thresholds.min_recall),
    )
    said = (below(name, value, limit) for name, value, limit in asked)
    return tuple(sentence for sentence in said if sentence)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
