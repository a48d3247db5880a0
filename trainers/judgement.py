"""Champion and challenger on the same rows: what each hold-out says of the difference, and how sure it is.

One cell a hold-out: the old one as a whole, the one of each past era, the new one. Together they are the
forgetting matrix. Pure; the gate (`trainers.promotion`) reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeGuard

from detectors.metrics import ClassMetrics, Metrics, class_of, recall_of
from trainers.clusters import RESAMPLES, Shifts, draw_groups, shifts, sign_flip

if TYPE_CHECKING:
    import numpy as np  # at run time late: a status reads what is stored of a judgement, and loads no NumPy

LEVEL = 0.95
MEASURED = ("accuracy", "recall", "precision", "fpr")
_PSEUDO = 0.5  # rows added to each cell of a class's 2 × 2 table before rows are drawn
_SEED = 0
Alternative = Literal["two-sided", "greater", "less"]
MINUS = "\u2212"


def signed(share: float) -> str:
    """A difference of shares in points: `+2.1`, `−0.3`, `0.0`."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


@dataclass(frozen=True, slots=True)
class Difference:
    """Challenger minus champion, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Both models on the rows of one hold-out.

    Attributes:
        holdout: "old" (all past eras), "era 0", "era 1" …, or "new".
        champion / challenger: their metrics on these rows.
        differences: of accuracy, recall, precision and false positive rate, where both can be measured; of several
            classes, of accuracy, the mean of the recalls ("macro_recall") and each of them ("recall/PortScan").
        decided: metric ("accuracy" of all rows, "recall" of the positive ones, "recall/…" of a class) -> rows that
            only the challenger and rows that only the champion has right.
        files: names of the files which the rows first came in.
        groups: how many groups the rows are of, where some are related (`group` of the labels); 0 where none are.
        shifts: metric -> how many of the groups gained how many rows net; what p is then taken from.
    """

    holdout: str
    champion: Metrics | ClassMetrics
    challenger: Metrics | ClassMetrics
    differences: Mapping[str, Difference] = field(default_factory=dict)
    decided: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    groups: int = 0
    shifts: Mapping[str, Shifts] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the hold-out."""
        return self.champion.rows

    @property
    def classes(self) -> tuple[str, ...]:
        """Of several classes the names of those that have rows here; empty for two classes."""
        found = self.champion
        return tuple(name for name in found.classes if found.support[name]) if _several(found) else ()

    @property
    def recall(self) -> str:
        """The metric that is told beside accuracy: "recall", or of several classes the mean of theirs."""
        return "macro_recall" if _several(self.champion) else "recall"

    @property
    def lost_most(self) -> str:
        """The class whose recall fell most; empty where none fell."""
        moved = {name: self.differences[recall_of(name)].value for name in self.classes}
        least = min(moved, key=lambda name: moved[name], default="")
        return least if least and moved[least] < 0 else ""

    @property
    def test(self) -> str:
        """Which test p is of."""
        return f"sign-flip test over {self.groups:,} groups" if self.groups else "McNemar's exact test"

    def p_value(self, metric: str = "accuracy") -> float:
        """Are the two different? Two-sided p of `test`."""
        return self._p(metric, "two-sided")

    def p_gain(self, metric: str = "accuracy") -> float:
        """Is the challenger better? One-sided p of `test`."""
        return self._p(metric, "greater")

    def p_loss(self, metric: str = "accuracy") -> float:
        """Is the challenger worse? One-sided p of `test`."""
        return self._p(metric, "less")

    def _p(self, metric: str, alternative: Alternative) -> float:
        if self.groups:
            return sign_flip(self.shifts.get(metric, ()), alternative)
        return mcnemar(*self.decided.get(metric, (0, 0)), alternative)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a retrain.

    Attributes:
        cell: champion and quick challengers on new rows of the training side.
        folds: how many of the folds were judged in the time.
        fitted: rows of a quick fit, of `rows` that the retrain itself will have.
        seconds: about how long the retrain will take.
        settings: a digest of the configuration that it was made with; empty in those that were kept without it.
    """

    cell: Cell
    folds: int
    fitted: int
    rows: int
    seconds: float
    settings: str = ""


def mcnemar(gained: int, lost: int, alternative: Alternative = "two-sided") -> float:
    """McNemar's exact p: how often chance alone would favour one of the two models at least this much.

    Of the rows on which exactly one of the two is right, without a difference each is right in half of them
    (McNemar, Psychometrika 12, 1947; exact binomial form). No such row gives p = 1.

    Args:
        gained / lost: rows that only the challenger, and only the champion, has right.
        alternative: "greater" asks whether the challenger is better, "less" whether it is worse.
    """
    from scipy.stats import binomtest

    total = gained + lost
    return float(binomtest(gained, total, alternative=alternative).pvalue) if total else 1.0


def compare(
    holdout: str,
    truth: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    files: Sequence[str] = (),
    groups: np.ndarray | None = None,
    classes: Sequence[str] = (),
) -> Cell:
    """Two models on the same rows.

    Args:
        holdout: its name, see `Cell`.
        truth: 0 and 1, or positions in `classes`; shape (rows,).
        champion / challenger: what each predicts, shape (rows,).
        files: where the rows come from.
        groups: a key of each row's group, shape (rows,); None where all rows are independent.
        classes: names, where there are several.
    """
    import numpy as np

    from detectors.class_metrics import measured

    before, after = (measured(truth, said, None, classes) for said in (champion, challenger))
    kinds = len(classes) or 2
    right = (champion == truth).astype(int) + 2 * (
        challenger == truth
    )  # 1: champion alone, 2: challenger alone
    place = right + 4 * truth  # class after class, negatives first
    counts = np.bincount(place, minlength=4 * kinds)
    both = counts.reshape(-1, 4).sum(axis=0)
    decided = {"accuracy": (int(both[2]), int(both[1]))}
    masks = {"accuracy": np.ones(len(truth), dtype=bool)}
    for metric, kind in {recall_of(n): i for i, n in enumerate(classes)}.items() or (("recall", 1),):
        if counts[4 * kind : 4 * kind + 4].any():
            masks[metric] = truth == kind
            decided[metric] = (int(counts[4 * kind + 2]), int(counts[4 * kind + 1]))
    names, group_of = np.unique(groups if groups is not None else np.arange(0), return_inverse=True)
    if groups is None or len(names) == len(truth):  # one row a group: independent rows
        found = _found(partial(_drawn_rows, counts), counts, before, after)
        return Cell(holdout, before, after, found, decided, tuple(files))
    width = len(counts)
    tables = np.bincount(width * group_of + place, minlength=width * len(names)).reshape(-1, width)
    found = _found(partial(draw_groups, tables), counts, before, after)
    gained = (right == 2).astype(int) - (right == 1)
    moved = {metric: shifts(gained * rows, group_of) for metric, rows in masks.items()}
    return Cell(holdout, before, after, found, decided, tuple(files), len(names), moved)


def _found(
    draw: Callable[[float], np.ndarray],
    counts: np.ndarray,
    before: Metrics | ClassMetrics,
    after: Metrics | ClassMetrics,
) -> dict[str, Difference]:
    """The differences and their intervals.

    What is added to each count of a class pulls its own recall towards no difference no more than that of one of
    two classes. What is of all classes together it would pull k / 2 times as much: of 300 rows of 50 classes, the 95 %
    interval of accuracy held the truth in 55 of 100. So of more than two classes that occur 4 rows in all are added
    there, 1 / k to each count, as many as of two.

    Args:
        draw: resamples, with so much added to each count.
        counts: of each class that occurs four, shape (4 k,).
    """
    known = int(counts.reshape(-1, 4).any(axis=1).sum())
    each = _differences(draw(_PSEUDO), before, after)
    if known <= 2:
        return each
    together = _differences(draw(1 / known), before, after)
    return {name: each[name] if class_of(name) else moved for name, moved in together.items()}


def _drawn_rows(counts: np.ndarray, added: float) -> np.ndarray:
    """Counts of resamples of independent rows, shape (resamples, 4 k), from those of k classes; seeded.

    All metrics follow from how many rows of each class both models, one or none get right, so to draw rows is to
    draw these counts from a multinomial. Before that `added` is added to each count of a class that occurs (one
    half as Agresti and Min, Statistics in Medicine 24, 2005, do for paired shares): where no row differs, plain
    resampling would give an interval of no width, as if five rows could rule out any loss. Classes are drawn along:
    how many attacks there are among new rows is chance too, and held fixed the interval of accuracy is too narrow.
    """
    import numpy as np

    more = np.repeat(added * counts.reshape(-1, 4).any(axis=1), 4)
    shares = (counts + more) / (counts + more).sum()
    return np.random.default_rng(_SEED).multinomial(int(counts.sum()), shares, size=RESAMPLES)


def _differences(
    drawn: np.ndarray, before: Metrics | ClassMetrics, after: Metrics | ClassMetrics
) -> dict[str, Difference]:
    """Paired percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).

    Args:
        drawn: the resamples. Columns of each class, negatives first: neither right, the champion alone, the
            challenger alone, both.
    """
    import numpy as np

    cells = drawn.reshape(len(drawn), -1, 4)
    if isinstance(before, ClassMetrics):
        one, other = (_class_metrics(cells, before.classes, column) for column in (1, 2))
    else:
        one, other = (_metrics(cells, column) for column in (1, 2))
    found = {}
    for name in one:
        old, new = before.value(name), after.value(name)
        moved = other[name] - one[name]
        moved = moved[np.isfinite(moved)]
        if old is None or new is None or not len(moved):
            continue
        value = float(new - old)
        low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        found[name] = Difference(value, min(float(low), value), max(float(high), value))
    return found


def _metrics(cells: np.ndarray, column: int) -> dict[str, np.ndarray]:
    """Metric -> its value in each resample, NaN where it has none, of the model whose own column that is."""
    import numpy as np

    (tn, tp), (negatives, positives) = (cells[:, :, column] + cells[:, :, 3]).T, cells.sum(axis=2).T
    fp = negatives - tn
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (tp + tn) / (negatives + positives),
            "recall": tp / positives,
            "precision": tp / (tp + fp),
            "fpr": fp / negatives,
        }


def _class_metrics(cells: np.ndarray, classes: Sequence[str], column: int) -> dict[str, np.ndarray]:
    """The same of several classes. (Precision would need what wrong rows were taken for.)"""
    import numpy as np

    hits, rows = cells[:, :, column] + cells[:, :, 3], cells.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / rows
        macro = np.where(rows > 0, recall, 0.0).sum(axis=1) / (rows > 0).sum(axis=1)
    return {
        "accuracy": hits.sum(axis=1) / rows.sum(axis=1),
        "macro_recall": macro,
        **{recall_of(name): recall[:, kind] for kind, name in enumerate(classes)},
    }


def _several(metrics: Metrics | ClassMetrics) -> TypeGuard[ClassMetrics]:
    return isinstance(metrics, ClassMetrics)


def matrix(
    truth: Mapping[str, np.ndarray],
    champion: Mapping[str, np.ndarray],
    challenger: Mapping[str, np.ndarray],
    eras: Mapping[str, np.ndarray],
    files: Mapping[int, Sequence[str]],
    groups: Mapping[str, np.ndarray] | None = None,
    classes: Sequence[str] = (),
) -> tuple[Cell, ...]:
    """The forgetting matrix: the old hold-out, each past era's where there are several, the new one.

    Args:
        truth / champion / challenger / eras: by hold-out ("old", "new"), each of shape (rows,).
        files: names of the files of each era.
        groups: by hold-out the key of each row's group; None where all rows are independent.
        classes: names, where there are several.
    """
    import numpy as np

    cells = []
    for side in ("old", "new"):
        if side not in truth or not len(truth[side]):
            continue
        own, related = eras[side], None if groups is None else groups[side]
        past = [int(era) for era in np.unique(own)]
        named = [name for era in past for name in files.get(era, ())]
        cells.append(compare(side, truth[side], champion[side], challenger[side], named, related, classes))
        if side == "old" and len(past) > 1:
            for era in past:
                rows = own == era
                right, before, after = (part[side][rows] for part in (truth, champion, challenger))
                kin = None if related is None else related[rows]
                cells.append(compare(f"era {era}", right, before, after, files.get(era, ()), kin, classes))
    return tuple(cells)
