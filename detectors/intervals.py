"""95 % intervals of performance metrics: exact where a metric is a share of rows, else by a seeded bootstrap."""

from __future__ import annotations

import numpy as np

from detectors.metrics import RATES, ClassMetrics, Interval, Metrics

LEVEL = 0.95
RESAMPLES = 2_000
_LEVELS = 2_048  # distinct scores that are resampled apart; beyond, neighbours go together
_TOGETHER = 100  # resamples held at once
_Z = 1.959964


def clopper_pearson(hits: int, rows: int, level: float = LEVEL) -> Interval | None:
    """The exact interval of a share, two-sided with equal tails; None without rows.

    References:
        Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
        Biometrika 26 (1934).
    """
    if not rows:
        return None
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(hits, rows - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, rows - hits, 1 - tail)) if hits < rows else 1.0
    return Interval(low, high, "Clopper-Pearson")


def binary_intervals(
    metrics: Metrics, truth: np.ndarray, probability: np.ndarray | None, *, seed: int = 0
) -> dict[str, Interval]:
    """Metric -> interval, of those that are defined.

    Accuracy, precision, recall and the two error rates are shares, exact given their denominators. So is F1:
    tp is binomial given tp + fp + fn with the share J (Jaccard's), and F1 = 2 J/(1 + J) grows with it. The
    area under the ROC curve is no share: its rows are resampled.

    Args:
        truth: 0 and 1, shape (rows,);  probability: of class 1, or None.
        seed: of the bootstrap.
    """
    m = metrics
    shares = {
        "accuracy": (m.tp + m.tn, m.rows),
        "precision": (m.tp, m.tp + m.fp),
        "recall": (m.tp, m.tp + m.fn),
        "fpr": (m.fp, m.fp + m.tn),
        "fnr": (m.fn, m.fn + m.tp),
    }
    found = {name: clopper_pearson(*share) for name, share in shares.items()}
    if jaccard := clopper_pearson(m.tp, m.tp + m.fp + m.fn):
        low, high = (2 * end / (1 + end) for end in (jaccard.low, jaccard.high))
        found["f1"] = Interval(low, high, jaccard.method)
    if probability is not None and m.roc_auc is not None:
        found["roc_auc"] = roc_auc_interval(truth, probability, m.roc_auc, seed=seed)
    return {name: interval for name, interval in found.items() if interval is not None}


def class_intervals(metrics: ClassMetrics, *, seed: int = 0) -> dict[str, Interval]:
    """Metric -> interval: accuracy exact, averages over the classes by resampling rows.

    Rows are alike when true and predicted class are, so a resample of the rows is a multinomial draw of the
    confusion matrix: its cost does not grow with the rows.
    """
    matrix = np.array(metrics.confusion, dtype=np.int64)
    found: dict[str, Interval] = {}
    if exact := clopper_pearson(int(np.trace(matrix)), metrics.rows):
        found["accuracy"] = exact
    if not metrics.rows:
        return found
    random = np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {}
    for _ in range(0, RESAMPLES, _TOGETHER):
        draws = random.multinomial(metrics.rows, matrix.ravel() / metrics.rows, _TOGETHER)
        for name, values in averages(draws.reshape(-1, *matrix.shape)).items():
            drawn.setdefault(name, []).append(values)
    for name, parts in drawn.items():
        if getattr(metrics, name) is not None and (interval := _percentiles(np.concatenate(parts))):
            found[name] = interval
    return found


def roc_auc_interval(
    truth: np.ndarray, score: np.ndarray, area: float, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """The interval of the area under the ROC curve: percentiles of a bootstrap over rows.

    Where the scores separate the classes wholly (area 0 or 1) every resample does, and a bootstrap would claim
    certainty: there it is Newcombe's interval. Scores of more than 2,048 levels are resampled in as many groups
    of neighbours, and the percentiles moved to the exact area.

    Args:
        truth: 0 and 1, shape (rows,);  score: shape (rows,).
        area: of these rows.
    """
    positive, negative = _by_level(np.asarray(truth), np.asarray(score, np.float64))
    m, n = int(positive.sum()), int(negative.sum())
    if not m or not n:
        return None
    if area in (0.0, 1.0):
        return newcombe(area, m, n)
    random = np.random.default_rng(seed)
    cells = np.concatenate([positive, negative])
    areas = []
    for first in range(0, resamples, _TOGETHER):
        many = min(_TOGETHER, resamples - first)
        draws = random.multinomial(m + n, cells / (m + n), many).astype(np.float64)
        areas.append(_areas(draws[:, : len(positive)], draws[:, len(positive) :]))
    moved = area - float(_areas(positive[None, :].astype(float), negative[None, :].astype(float))[0])
    found = _percentiles(np.concatenate(areas))
    if found is None:
        return None
    return Interval(max(0.0, found.low + moved), min(1.0, found.high + moved), found.method)


def newcombe(area: float, m: int, n: int) -> Interval:
    """A score interval of the area under the ROC curve of m positives and n negatives, for any area.

    Its ends are the areas A with |A - area| = 1.96 sd(A), the variance that of Hanley and McNeil with both sample
    sizes replaced by their mean: A (1 - A) (1 + (N - 1) ((1 - A)/(2 - A) + A/(1 + A)))/(m n), N = (m + n)/2.

    References:
        Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
        Statistics in Medicine 25 (2006), method 5; Hanley and McNeil, Radiology 143 (1982).
    """
    from scipy.optimize import brentq

    def excess(a: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - a) / (2 - a) + a / (1 + a))
        return (a - area) ** 2 - _Z**2 * a * (1 - a) * spread / (m * n)

    # at the area itself the excess is at most 0, at 0 and 1 it is at least 0
    inside = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area == 0 else brentq(excess, 0.0, inside)
    high = 1.0 if area == 1 else brentq(excess, inside, 1.0)
    return Interval(float(low), float(high), "Newcombe")


def _by_level(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives at each score, ascending; neighbouring scores together where there are many."""
    levels, places = np.unique(score, return_inverse=True)
    if len(levels) > _LEVELS:
        below = np.cumsum(np.bincount(places)) - 1  # rows up to each level
        places = (below * _LEVELS // len(score))[places]
    most = int(places.max()) + 1
    ones = truth == 1
    return np.bincount(places[ones], minlength=most), np.bincount(places[~ones], minlength=most)


def _areas(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """P(positive above negative) + half of the ties, for each row of counts by level, shape (resamples,)."""
    under = np.cumsum(negative, axis=1) - negative
    pairs = (positive * (under + negative / 2)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(pairs / (positive.sum(axis=1) * negative.sum(axis=1)))


def averages(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """The averages of `ClassMetrics` for each confusion matrix, shape (resamples, classes, classes); NaN for none."""
    hits = np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64)
    true, said = matrices.sum(axis=2), matrices.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = (hits / said, hits / true, 2 * hits / (true + said))
    found = {}
    for name, rate in zip(RATES, rates, strict=True):
        known = ~np.isnan(rate) & (true > 0)
        for mean, weight in (("macro", np.ones_like(rate)), ("weighted", true.astype(np.float64))):
            held = np.where(known, weight, 0.0)
            with np.errstate(invalid="ignore"):
                found[f"{mean}_{name}"] = (np.where(known, rate, 0.0) * held).sum(axis=1) / held.sum(axis=1)
    return found


def _percentiles(values: np.ndarray) -> Interval | None:
    """References: Efron, "Better bootstrap confidence intervals", JASA 82 (1987): the percentile method."""
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), "bootstrap")
