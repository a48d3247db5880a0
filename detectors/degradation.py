"""Whether a model does worse than on its own hold-outs, and how many labels it takes to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectors.cells import category
from detectors.metrics import ClassMetrics, Metrics, Thresholds

ALPHA = 0.01  # one-sided
MATERIAL = 0.02  # a loss below two points is no harm
POWER = 0.80
_MOST_LABELS = 1_000_000
_Z = 1.644854  # of a one-sided 95 % bound
Share = tuple[int, int]  # right ones, of how many


@dataclass(frozen=True, slots=True)
class Reference:
    """Right and wrong predictions of a version on its hold-outs, and which version.

    Attributes:
        right: rows predicted rightly, of `rows` on all hold-outs together.
        rates: precision, recall and specificity, or of several classes the recall of each: right ones, of how many.
        source: "the hold-outs of version 3".
    """

    right: int
    rows: int
    rates: Mapping[str, Share]
    source: str = ""

    @classmethod
    def of(cls, holdouts: Sequence[Metrics | ClassMetrics], source: str) -> Reference | None:
        """Several hold-outs as one; None without a row."""
        right, rows = sum(m.right for m in holdouts), sum(m.rows for m in holdouts)
        rates: dict[str, Share] = {}
        for name, (hits, held) in (share for m in holdouts for share in _rates(m).items()):
            before = rates.get(name, (0, 0))
            rates[name] = (before[0] + hits, before[1] + held)
        return cls(right, rows, rates, source) if rows else None

    @property
    def accuracy(self) -> float:
        return self.right / self.rows


@dataclass(frozen=True, slots=True)
class Degradation:
    """Labelled predictions against the hold-outs. Shares, 0.01 = one point.

    Attributes:
        accuracy / rows: of the labelled predictions.
        reference / reference_rows: accuracy on the hold-outs, and their rows.
        p_value: of an accuracy this low if nothing had changed, one-sided and exact.
        harm: p is at most 1 % and the loss at least two points; or `worse` is not empty.
        worse: rates that break a limit which the hold-outs kept, beyond chance, one sentence each.
        labels_needed: labels with which the test finds a loss of two points in 80 of 100 cases; None where no
            number would do, since the hold-outs have too few rows.
        most: the largest loss that the labels leave possible, one-sided 95 %.
        told: harm is found, or the labels would have found it, or they rule out a loss of two points.
        source: what the reference is.
    """

    accuracy: float
    rows: int
    reference: float
    reference_rows: int
    p_value: float
    harm: bool
    worse: tuple[str, ...]
    labels_needed: int | None
    most: float
    told: bool
    source: str = ""

    @property
    def loss(self) -> float:
        """Share of right predictions lost; negative is a gain."""
        return self.reference - self.accuracy


def degradation(
    metrics: Metrics | ClassMetrics, reference: Reference, thresholds: Thresholds
) -> Degradation | None:
    """Compare labelled predictions with the hold-outs; None without rows.

    Both accuracies have chance in them, so the test is that of two samples (Fisher's exact one). What accuracy
    cannot show where one class is rare, the limits do: a rate that breaks a limit the hold-outs kept is harm
    too, tested in the same way at a third of 1 % each. Of several classes that is the recall of each, 1 %
    divided by how many have rows on both sides.
    """
    if not metrics.rows:
        return None
    right = metrics.right
    p = worse_than(right, metrics.rows, reference.right, reference.rows)
    accuracy = right / metrics.rows
    worse = _broken(metrics, reference, thresholds)
    fell = p <= ALPHA and reference.accuracy - accuracy >= MATERIAL
    needed = labels_needed(reference.right, reference.rows)
    most = largest_loss(right, metrics.rows, reference.right, reference.rows)
    harm = fell or bool(worse)
    return Degradation(
        accuracy=accuracy,
        rows=metrics.rows,
        reference=reference.accuracy,
        reference_rows=reference.rows,
        p_value=p,
        harm=harm,
        worse=worse,
        labels_needed=needed,
        most=most,
        told=harm or most < MATERIAL or (needed is not None and metrics.rows >= needed),
        source=reference.source,
    )


def worse_than(right: int, rows: int, reference_right: int, reference_rows: int) -> float:
    """P of so few right ones among `rows`, given all right ones of both samples: Fisher's exact test, one-sided.

    References: Fisher, "The logic of inductive inference", J. Royal Statistical Society 98 (1935).
    """
    from scipy.stats import hypergeom

    total = rows + reference_rows
    return min(1.0, float(hypergeom.cdf(right, total, right + reference_right, rows)))


def largest_loss(right: int, rows: int, reference_right: int, reference_rows: int) -> float:
    """Upper one-sided 95 % bound of the loss: the square-and-add interval of two Wilson bounds.

    References: Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998), method 10.
    """
    after, before = right / rows, reference_right / reference_rows
    below = after - _wilson(after, rows, -_Z)
    above = _wilson(before, reference_rows, _Z) - before
    return before - after + math.hypot(below, above)


def _wilson(share: float, rows: int, z: float) -> float:
    """One bound of Wilson's score interval (JASA 22, 1927), the lower one for negative z."""
    middle = share + z * z / (2 * rows)
    spread = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return (middle + spread) / (1 + z * z / rows)


def labels_needed(
    reference_right: int,
    reference_rows: int,
    *,
    loss: float = MATERIAL,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int | None:
    """How many labels find a loss with this power, rounded up to two digits; None where no number does.

    The hold-outs are taken as they are: with k the most right ones among n labels that are significant, the
    power is P[Bin(n, reference accuracy - loss) <= k]. With many hold-out rows this is the one-sided exact
    binomial test against a known accuracy.
    """
    held = max(0.0, reference_right / reference_rows - loss)

    def enough(n: int) -> bool:
        from scipy.stats import binom

        k = _most_significant(n, reference_right, reference_rows, alpha)
        return k >= 0 and float(binom.cdf(k, n, held)) >= power

    high = 16
    while not enough(high):
        high *= 2
        if high > _MOST_LABELS:
            return None
    low = high // 2
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    n = _two_digits(high)
    while not enough(n):  # power rises in teeth
        n = _two_digits(n + 1)
    return n


def _most_significant(n: int, reference_right: int, reference_rows: int, alpha: float) -> int:
    """The most right ones among n that are still significantly few, -1 where none are."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        if worse_than(middle, n, reference_right, reference_rows) <= alpha:
            low = middle
        else:
            high = middle
    return low


def _two_digits(n: int) -> int:
    step = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // step) * step


def _broken(metrics: Metrics | ClassMetrics, reference: Reference, thresholds: Thresholds) -> tuple[str, ...]:
    limits: Mapping[str, tuple[float | None, ...]] = {
        "precision": (thresholds.min_precision,),
        "recall": (thresholds.min_recall, _rest(thresholds.max_fnr)),
        "specificity": (_rest(thresholds.max_fpr),),
    }
    now, before_of = _rates(metrics), {name.casefold(): share for name, share in reference.rates.items()}
    compared = [name for name, (_, rows) in now.items() if rows and before_of.get(name.casefold(), (0, 0))[1]]
    parts = len(compared) if isinstance(metrics, ClassMetrics) else len(now)
    found = []
    for name in compared:
        (right, rows), (before, held) = now[name], before_of[name.casefold()]
        asked = limits.get(name, (thresholds.min_recall,))  # of one of several classes
        after, earlier = right / rows, before / held
        if not any(limit is not None and after < limit <= earlier for limit in asked):
            continue
        if earlier - after >= MATERIAL and worse_than(right, rows, before, held) <= ALPHA / parts:
            found.append(f"{name} fell from {earlier:.3f} to {after:.3f}")
    return tuple(found)


def _rates(counts: Metrics | ClassMetrics) -> dict[str, Share]:
    if isinstance(counts, ClassMetrics):
        return {
            f'recall of "{category(name) or name}"': (counts.confusion[place][place], counts.support[name])
            for place, name in enumerate(counts.classes)
        }
    return {
        "precision": (counts.tp, counts.tp + counts.fp),
        "recall": (counts.tp, counts.tp + counts.fn),
        "specificity": (counts.tn, counts.tn + counts.fp),
    }


def _rest(limit: float | None) -> float | None:
    return None if limit is None else 1 - limit
