"""What is measured of predictions, with its interval and its limits: records alone, so a status loads no NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

Method = Literal["Clopper-Pearson", "bootstrap", "Newcombe", "Korn-Graubard", "MOVER"]


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

    @property
    def right(self) -> int:
        """Rows predicted rightly."""
        return self.tp + self.tn

    @property
    def by_name(self) -> dict[str, float | None]:
        """Every number, by the name it is logged and compared under."""
        return asdict(self)

    def value(self, name: str) -> float | None:
        """One of them."""
        found: float | None = getattr(self, name)
        return found


RATES = ("precision", "recall", "f1")
MEANS = ("macro", "weighted")
_RECALL_OF = "recall/"


def recall_of(name: str) -> str:
    """What the recall of one of several classes is called among metrics: "recall/PortScan"."""
    return _RECALL_OF + name


def class_of(metric: str) -> str:
    """The inverse of `recall_of`; empty for a metric of all classes together."""
    return metric.removeprefix(_RECALL_OF) if metric.startswith(_RECALL_OF) else ""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics over several classes; what is undefined is None, and left out of the averages.

    Attributes:
        rows: rows evaluated.
        accuracy: share of right predictions.
        macro_*: mean over the classes that have rows; weighted_*: weighted by the rows of each.
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

    @property
    def right(self) -> int:
        """Rows predicted rightly."""
        return sum(row[i] for i, row in enumerate(self.confusion))

    @property
    def by_name(self) -> dict[str, float | None]:
        """Every number, by the name it is logged and compared under."""
        return {**self.numbers, **{recall_of(name): value for name, value in self.recall.items()}}

    def value(self, name: str) -> float | None:
        """One of them."""
        return self.by_name[name]


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
