"""Performance measured on rows that were drawn with unequal, known chances: every row counts for those it stands for.

A rate is the ratio of two weighted totals (Hájek), its weights the inverse chances (Horvitz and Thompson), so it is
that of the whole batch whichever rows were likelier to be drawn. Its variance is that of the linearized ratio under a
draw of fixed size (Deville), its interval that of Korn and Graubard: Clopper and Pearson's, with as many rows as a
simple random sample of the same variance would have. A difference of two such rates has the interval of Zou and Donner
(MOVER), which takes theirs together.

References: Horvitz and Thompson, "A generalization of sampling without replacement from a finite universe", JASA 47
(1952); Hájek, "Comment on a paper by D. Basu", in Foundations of Statistical Inference (1971); Deville, "Variance
estimation for complex statistics and estimators", Survey Methodology 25 (1999); Korn and Graubard, "Confidence
intervals for proportions with small expected number of positive counts estimated from survey data", Survey Methodology
24 (1998); Zou and Donner, "Construction of confidence intervals about effect measures: a general approach", Statistics
in Medicine 27 (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.class_metrics import evaluate_classes
from detectors.intervals import LEVEL, RESAMPLES, averages
from detectors.metrics import ClassMetrics, Interval, Metrics
from detectors.performance import evaluate

_TOGETHER = 100  # resamples held at once


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of the whole batch, estimated from rows with weights.

    Attributes:
        value: from 0 to 1.
        rows: those it is about, as they were drawn.
        effective: rows of a simple random sample that would tell as much.
        interval: 95 %.
    """

    value: float
    rows: int
    effective: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Weighted:
    """Labelled rows with weights, measured.

    Attributes:
        metrics: rates by weight; rows and the confusion matrix are counts of the labelled rows, without weights.
        intervals: metric -> 95 % interval.
        effective: metrics of as many rows as a simple random sample would need to tell as much, with the rates of
            the batch: what a test that counts rows may be given (Rao and Scott, JASA 76, 1981).
        unweighted: accuracy of the rows as they are.
    """

    metrics: Metrics | ClassMetrics
    intervals: dict[str, Interval]
    effective: Metrics | ClassMetrics
    unweighted: float


def evaluate_weighted_classes(
    truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str], weight: np.ndarray
) -> Weighted:
    """The same among several classes: accuracy with its interval, recalls and averages of the batch without.

    Args:
        truth / predicted: positions in `classes`, shape (rows,), at least one row.
        weight: inverse chance of inclusion, at least 1, shape (rows,).
    """
    plain = evaluate_classes(truth, predicted, classes)
    w, kinds = np.asarray(weight, np.float64), len(classes)
    places = np.asarray(truth) * kinds + np.asarray(predicted)
    shares = np.bincount(places, weights=w, minlength=kinds * kinds).reshape(kinds, kinds)
    known = rate(np.asarray(truth) == np.asarray(predicted), np.ones(len(w), dtype=bool), w)
    if known is None:
        raise ValueError("there are no rows")
    own = {i: rate(predicted == i, truth == i, w) for i in range(kinds)}
    recall = {name: None if (found := own[i]) is None else found.value for i, name in enumerate(classes)}
    means = averages(shares[None])

    def mean(name: str) -> float | None:
        value = float(means[name][0])
        return None if np.isnan(value) else value

    metrics = replace(
        plain,
        accuracy=known.value,
        recall=recall,
        macro_precision=mean("macro_precision"),
        macro_recall=mean("macro_recall"),
        macro_f1=mean("macro_f1"),
        weighted_precision=mean("weighted_precision"),
        weighted_recall=mean("weighted_recall"),
        weighted_f1=mean("weighted_f1"),
    )
    size = min(known.effective, len(w)) / w.sum()
    counts = np.rint(shares * size).astype(np.int64)
    effective = replace(
        metrics,
        rows=int(counts.sum()),
        support={name: int(counts[i].sum()) for i, name in enumerate(classes)},
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
    )
    return Weighted(metrics, {"accuracy": known.interval}, effective, float(plain.accuracy or 0.0))


def evaluate_weighted(
    truth: np.ndarray,
    predicted: np.ndarray,
    probability: np.ndarray | None,
    weight: np.ndarray,
    *,
    seed: int = 0,
) -> Weighted:
    """Metrics of the batch from which rows were drawn.

    Args:
        truth / predicted: 0 and 1, shape (rows,), at least one row.
        probability: of class 1, or None.
        weight: inverse chance of inclusion, at least 1, shape (rows,).
        seed: of the bootstrap for the area under the ROC curve.
    """
    plain = evaluate(truth, predicted, probability)
    one, said = np.asarray(truth) == 1, np.asarray(predicted) == 1
    w = np.asarray(weight, np.float64)
    rates = {
        "accuracy": rate(one == said, np.ones(len(w), dtype=bool), w),
        "precision": rate(one, said, w),
        "recall": rate(said, one, w),
        "fpr": rate(said, ~one, w),
        "fnr": rate(~said, one, w),
    }
    if (jaccard := rate(one & said, one | said, w)) is not None:  # F1 = 2 J/(1 + J) grows with it
        low, high = (2 * end / (1 + end) for end in (jaccard.interval.low, jaccard.interval.high))
        f1 = 2 * jaccard.value / (1 + jaccard.value)
        rates["f1"] = replace(jaccard, value=f1, interval=Interval(low, high, jaccard.interval.method))
    found = {name: known for name, known in rates.items() if known is not None}
    intervals = {name: known.interval for name, known in found.items()}
    area = None
    if probability is not None and plain.roc_auc is not None:
        area, intervals["roc_auc"] = _area(one, np.asarray(probability, np.float64), w, seed)

    def value(name: str) -> float | None:
        return found[name].value if name in found else None

    metrics = replace(
        plain,
        accuracy=value("accuracy"),
        precision=value("precision"),
        recall=value("recall"),
        f1=value("f1"),
        fpr=value("fpr"),
        fnr=value("fnr"),
        roc_auc=area,
    )
    effective = _counts(one, said, w, found["accuracy"].effective, metrics)
    return Weighted(metrics, intervals, effective, float(plain.accuracy or 0.0))


def rate(hit: np.ndarray, of: np.ndarray, weight: np.ndarray) -> Rate | None:
    """The share of the rows `of` that are hits, in the whole batch; None where no such row was drawn.

    Args:
        hit / of: bool, shape (rows,), over all rows that were drawn.
        weight: inverse chance of inclusion, shape (rows,).
    """
    if not of.any():
        return None
    w = weight * of
    total = w.sum()
    # exactly 0 or 1 where all rows agree: sums in another order differ in the last bit
    hits, rows = int((hit & of).sum()), int(of.sum())
    value = hits / rows if hits in (0, rows) else float(w[hit].sum() / total)
    if (weight <= 1.0).all():  # the whole batch is labelled: nothing is estimated
        return Rate(value, rows, float(rows), Interval(value, value, "Korn-Graubard"))
    known = total * total / (w * w).sum()  # Kish's: where no variance is to be seen
    effective = min(known, rows)
    if 0.0 < value < 1.0:
        spread = _variance((hit - value) * of / total, weight)
        # at most what a simple random sample of these rows would tell, the larger a part of the batch the more
        effective = min(value * (1 - value) / max(spread, 1e-12), rows / (1 - len(weight) / weight.sum()))
    return Rate(value, rows, float(effective), _korn_graubard(value, float(effective)))


def gain(challenger: np.ndarray, champion: np.ndarray, weight: np.ndarray) -> tuple[float, Interval]:
    """On how much more of the whole batch the challenger is right than the champion, from -1 to 1, and its interval.

    The share that only the one gets right less the share that only the other does: the rows may have been drawn by
    the champion's doubts, which picks its errors and not the challenger's; the weights make up for that.

    Args:
        challenger / champion: whether it is right, bool, shape (rows,), at least one row.
        weight: inverse chance of inclusion, at least 1, shape (rows,).
    """
    won, lost = challenger & ~champion, champion & ~challenger
    every = np.ones(len(weight), dtype=bool)
    up, down = rate(won, every, weight), rate(lost, every, weight)
    if up is None or down is None:
        raise ValueError("there are no rows")
    value, total = up.value - down.value, weight.sum()
    ours, theirs = _variance((won - up.value) / total, weight), _variance((lost - down.value) / total, weight)
    both = _variance((won.astype(int) - lost - value) / total, weight)
    size = 2 * np.sqrt(ours * theirs)
    like = float(np.clip((ours + theirs - both) / size, -1, 1)) if size > 0 else 0.0

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(0.0, one * one + other * other - 2 * like * one * other)))

    low = value - reach(up.value - up.interval.low, _at_most(down, weight) - down.value)
    high = value + reach(_at_most(up, weight) - up.value, down.value - down.interval.low)
    return value, Interval(low, high, "MOVER")


def _at_most(known: Rate, weight: np.ndarray) -> float:
    """The upper limit of a share of all rows, as sure as Kish's number of rows at most: where its hits were drawn with
    large chances only, they do not show how much lies in rows of small ones."""
    if (weight <= 1.0).all():
        return known.interval.high
    return _korn_graubard(
        known.value, min(known.effective, float(weight.sum() ** 2 / (weight**2).sum()))
    ).high


def _variance(residual: np.ndarray, weight: np.ndarray) -> float:
    """Of a weighted total under a draw of fixed size and high entropy, by first-order chances alone (Deville 1999).

    Args:
        residual: what each row adds to the total before it is weighted, shape (rows,).
    """
    n, left = len(weight), 1 - 1 / weight
    if n < 2 or left.sum() <= 0:
        return 0.0
    added = weight * residual
    middle = (left * added).sum() / left.sum()
    return float(n / (n - 1) * (left * (added - middle) ** 2).sum())


def _korn_graubard(value: float, rows: float) -> Interval:
    from scipy.special import betaincinv

    tail, hits = (1 - LEVEL) / 2, value * rows
    low = float(betaincinv(hits, rows - hits + 1, tail)) if value > 0 else 0.0
    high = float(betaincinv(hits + 1, rows - hits, 1 - tail)) if value < 1 else 1.0
    return Interval(low, high, "Korn-Graubard")


def _counts(one: np.ndarray, said: np.ndarray, w: np.ndarray, rows: float, metrics: Metrics) -> Metrics:
    """The weighted confusion matrix as counts of so many rows, rounded to whole ones."""
    size = min(rows, len(one)) / w.sum()
    tp, fp = round(w[one & said].sum() * size), round(w[~one & said].sum() * size)
    fn, tn = round(w[one & ~said].sum() * size), round(w[~one & ~said].sum() * size)
    return replace(metrics, rows=tp + fp + fn + tn, tp=tp, fp=fp, fn=fn, tn=tn)


def _area(one: np.ndarray, score: np.ndarray, w: np.ndarray, seed: int) -> tuple[float, Interval]:
    """Weighted area under the ROC curve, and percentiles of a bootstrap over the rows."""
    order = np.argsort(score, kind="stable")
    one, w = one[order], w[order]
    level = np.unique(score[order], return_inverse=True)[1]
    starts = np.flatnonzero(np.append(True, np.diff(level) > 0))
    random, areas = np.random.default_rng(seed), []
    for _ in range(0, RESAMPLES, _TOGETHER):
        times = random.multinomial(len(w), np.full(len(w), 1 / len(w)), _TOGETHER)
        areas.append(_areas(times * w, one, starts))
    found = np.concatenate(areas)
    low, high = np.quantile(found[~np.isnan(found)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(_areas(w[None, :], one, starts)[0]), Interval(float(low), float(high), "bootstrap")


def _areas(weights: np.ndarray, one: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """P(positive above negative) + half of the ties by weight, for each row of weights, shape (resamples,)."""
    positive = np.add.reduceat(weights * one, starts, axis=1)
    negative = np.add.reduceat(weights * ~one, starts, axis=1)
    under = np.cumsum(negative, axis=1) - negative
    with np.errstate(invalid="ignore"):
        pairs = (positive * (under + negative / 2)).sum(axis=1)
        return np.asarray(pairs / (positive.sum(axis=1) * negative.sum(axis=1)))
