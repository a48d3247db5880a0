"""Metrics of a classifier with more than two classes: averages over the classes, each class, the confusion."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.metrics import Thresholds
from detectors.performance import below

RATES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics over several classes; what is undefined is None, and left out of the averages.

    Attributes:
        rows: rows evaluated.
        accuracy: share of right predictions.
        macro_*: mean over the classes; weighted_*: weighted by the rows of each class.
        classes: names, in the order of `confusion`.
        recall: class -> share of its rows that were found; None for a class that no row has.
        support: class -> its rows.
        confusion: rows by true class (outer) and predicted class (inner).
    """

    rows: int
    accuracy: float | None
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    weighted_precision: float | None
    weighted_recall: float | None
    weighted_f1: float | None
    classes: tuple[str, ...]
    recall: Mapping[str, float | None]
    support: Mapping[str, int]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def numbers(self) -> dict[str, float | None]:
        """The numbers of all classes together, by name."""
        averages = {f"{mean}_{rate}": getattr(self, f"{mean}_{rate}") for mean in MEANS for rate in RATES}
        return {"rows": self.rows, "accuracy": self.accuracy, **averages}


MEANS = ("macro", "weighted")


def evaluate_classes(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> ClassMetrics:
    """Metrics of predictions among several classes, by scikit-learn.

    A class without a prediction has no precision, one without rows no recall: neither counts in the mean
    (`zero_division=nan`), so that a rare class which happens to be absent does not look like a failure.

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
    for mean in MEANS:
        values: Sequence[float] = (np.nan,) * 3
        if rows:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no class at all
                values = precision_recall_fscore_support(
                    truth, predicted, labels=places, average=mean, zero_division=np.nan
                )[:3]
        numbers |= {f"{mean}_{rate}": _defined(value) for rate, value in zip(RATES, values, strict=True)}
    support = matrix.sum(axis=1)
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
