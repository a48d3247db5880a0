"""What is measured of predictions, with its interval and its limits: records alone, so a status loads no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["Clopper-Pearson", "bootstrap", "Newcombe", "Korn-Graubard"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a binary classifier; a ratio whose denominator is zero is None, not zero.

    Attributes:
        rows: rows evaluated.
        accuracy: share of right predictions.
        precision: tp / (tp + fp).
        recall: tp / (tp + fn).
        f1: harmonic mean of both, 2 tp / (2 tp + fp + fn).
        roc_auc: area under the ROC curve; None without probabilities or with one class only.
        fpr / fnr: false positive rate fp / (fp + tn), false negative rate fn / (fn + tp).
        tn / fp / fn / tp: the confusion matrix.
    """

    rows: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    fpr: float | None
    fnr: float | None
    tn: int
    fp: int
    fn: int
    tp: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits that metrics are held against; None asks nothing."""

    min_accuracy: float | None = 0.90
    min_precision: float | None = 0.85
    min_recall: float | None = 0.85
    max_fpr: float | None = 0.10
    max_fnr: float | None = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, and how it was found."""

    low: float
    high: float
    method: Method
