"""The gate before promotion: pure. It recommends; it never hides a number, and it never promotes.

Which number decides a loss:

- on the old hold-out as a whole the point estimate. It has most rows, and what it shows is what is risked;
- on a single past era the point estimate *and* McNemar's exact one-sided test: the loss is more than allowed and
  hardly chance. By the point estimate alone one unlucky row among thirty would block for ever, by the interval's
  far end alone a small era always would. Four such rows or fewer can therefore never block, and it is said.
  Where rows come in groups the test is over whole groups, and what holds of four rows holds of four groups;
  Simulated (2 % of the rows change by chance, one point allowed): without a real loss an era of 30, 100 or 300 rows
  blocks in 0, 0.1 and 1.6 % (by the point estimate alone in 20, 13 and 8 %); a loss of 30 points on 30 rows is blocked
  in 93 %, of 10 on 100 in 90 %, of 5 on 300 in 96 %;
- where the 95 % interval reaches a larger loss than is allowed, that is said and blocks nothing.

Of several classes the recall of each is asked, on the old hold-out as a whole as well, by the rule for a past era: a
class may have few rows there. The level holds for all classes of a hold-out together (Holm, Scand. J. Statist. 6,
1979). What many rare classes lose a little each, no test of one of them shows: so on the old hold-out as a whole the
mean recall is asked too, and blocks where more than allowed is lost and its 95 % interval leaves no doubt of a loss.
A class of which the current model finds at least 80 % of the rows, two at least, and the new one at most 20 %, is
forgotten, whatever a test of so few rows says; so is one of which no row is found any more, if that is hardly chance
for that class by itself. Simulated as above, ten classes: without a real loss 30, 100 or 300 rows of each block in 0.9,
0.3 and 1 %; of one class a loss of 30 points on 30 rows is blocked in 88 %, of 10 on 100 in 71 %, of 10 on 300 always,
and one that is forgotten always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from detectors.holm import adjusted
from detectors.metrics import ClassMetrics, class_of, recall_of
from trainers.base import Evaluation, Gate
from trainers.judgement import Cell, signed

_WORDS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "fpr": "false positive rate",
    "fnr": "false negative rate",
}
# field of Gate -> (metric, 1 if a larger value is better)
_LIMITS = (
    ("min_accuracy", "accuracy", 1),
    ("min_precision", "precision", 1),
    ("min_recall", "recall", 1),
    ("max_fpr", "fpr", -1),
    ("max_fnr", "fnr", -1),
)
_FOR_CLASSES = {"accuracy": "accuracy", "precision": "macro_precision", "recall": "macro_recall"}
CHANCE = 0.05  # the p above which a difference is not shown
_NAMED = 3  # classes that lost by chance, which are named
_KNOWN, _NEARLY_ALL = 2, 0.8  # rows of a class that a model finds, and their share, from which it knows it
_NEARLY_NONE = 0.2  # and the share up to which it has forgotten it
_ROUNDING = 1e-9  # 0.99 - 0.98 is a little more than 0.01


def recommend(
    champion: Sequence[Evaluation],
    challenger: Sequence[Evaluation],
    gate: Gate,
    *,
    matrix: Sequence[Cell] = (),
) -> tuple[Literal["promote", "keep"], tuple[str, ...]]:
    """Promote if the challenger is better on the new hold-out, forgot little of the old, and keeps limits.

    Args:
        champion / challenger: their evaluations on the same rows.
        gate: the policy.
        matrix: both on each hold-out (`trainers.judgement.matrix`): how sure each difference is, and what was
            lost on each past era. A gain on the new rows with p above 0.05 is none.

    Returns:
        The recommendation and its reasons, the decisive ones first: what blocks, or else what is gained.
    """
    cells = {cell.holdout: cell for cell in matrix}
    judged = [
        _gain(_on(champion, "new"), _on(challenger, "new"), cells.get("new"), gate),
        *_losses(_on(champion, "old"), _on(challenger, "old"), cells.get("old"), gate),
        *_lost_classes(cells.get("old"), gate, asked=_several(challenger)),
        *_forgotten([cell for cell in matrix if cell.holdout.startswith("era")], gate),
    ]
    broken = breaches(challenger, gate)
    blocking = [reason for passed, reason in judged if not passed] + list(broken)
    passing = [reason for passed, reason in judged if passed]
    if blocking:
        return "keep", (*blocking, *passing)
    return "promote", (*passing, "the new model keeps every limit of the gate")


def breaches(evaluations: Sequence[Evaluation], gate: Gate) -> tuple[str, ...]:
    """The limits of the gate that a model breaks, on each hold-out that can measure them."""
    found = []
    for field, metric, better in _LIMITS:
        limit: float | None = getattr(gate, field)
        if limit is None or (_several(evaluations) and metric in ("fpr", "fnr")):
            continue
        told_metric = f"macro {metric}" if _several(evaluations) and metric != "accuracy" else _WORDS[metric]
        measured = [
            (side, v) for side in ("new", "old") if (v := _measured(evaluations, side, metric)) is not None
        ]
        for side, value in measured:
            if (value - limit) * better < -_ROUNDING:
                told, asked = _told(value, limit)
                beyond = f"{'below' if better > 0 else 'above'} the gate's {asked}"
                found.append(f"{told_metric} on the {side} hold-out is {told}, {beyond}")
        if not measured:
            found.append(
                f"{told_metric} cannot be measured on any hold-out, so the gate's {limit:.3f} is not shown"
            )
    return tuple(found)


def _measured(evaluations: Sequence[Evaluation], side: str, metric: str) -> float | None:
    """A metric on a hold-out; None where that lacks a class which the metric is about."""
    evaluation = _on(evaluations, side)
    if evaluation is None:
        return None
    counts = evaluation.metrics
    if isinstance(counts, ClassMetrics):
        if metric == "precision" and sum(map(bool, counts.support.values())) < 2:
            return None  # all rows are of one class: 1.0 would mean nothing
        return counts.value(_FOR_CLASSES[metric])
    if metric == "precision" and not (counts.fp + counts.tn):
        return None  # without negatives there are no false alarms: 1.0 would mean nothing
    return counts.value(metric)


def _several(evaluations: Sequence[Evaluation]) -> bool:
    return any(isinstance(evaluation.metrics, ClassMetrics) for evaluation in evaluations)


def _gain(
    champion: Evaluation | None, challenger: Evaluation | None, cell: Cell | None, gate: Gate
) -> tuple[bool, str]:
    if champion is None or challenger is None:
        return False, "there is no new hold-out, so no gain can be shown: label more new rows"
    before, after = champion.metrics.accuracy, challenger.metrics.accuracy
    if before is None or after is None:
        return False, "accuracy on the new hold-out cannot be measured, so no gain can be shown"
    shown = f"accuracy on the new hold-out {_change(before, after)} ({_counted(challenger.rows)}"
    shown += ")" if cell is None else f"; {_told_interval(cell)}; {_p(cell.p_gain(), cell)})"
    if after > before and (cell is None or cell.p_gain() <= CHANCE):
        return True, shown
    if cell is not None and cell.p_value() <= CHANCE and after < before:
        verdict = "significantly worse than the current model"
    elif after > before:
        verdict = "no significant difference, so small a gain can be chance; more labelled rows would tell"
    elif before == 1:
        verdict = "no significant difference, the current model gets every new row right already"
    else:
        verdict = "no significant difference, no better than the current model"
    if gate.new == "better":
        return False, f"{shown}: {verdict}"
    if before - after > gate.max_loss_old + _ROUNDING or verdict.startswith("significantly"):
        return False, f"{shown}: {verdict}, and the gate asks for one that is not worse"
    return True, f"{shown}: {verdict}; the gate asks only that it is not worse"


def _losses(
    champion: Evaluation | None, challenger: Evaluation | None, cell: Cell | None, gate: Gate
) -> list[tuple[bool, str]]:
    """The old hold-out as a whole: the point estimate decides."""
    if champion is None or challenger is None:
        return [(False, "there is no old hold-out, so what the new model has forgotten cannot be seen")]
    judged = []
    for metric in ("accuracy",) if _several([challenger]) else ("accuracy", "recall"):
        before, after = champion.metrics.value(metric), challenger.metrics.value(metric)
        if before is None or after is None:
            judged.append(
                (False, f"{metric} on the old hold-out cannot be measured: it has no rows of that class")
            )
            continue
        loss, allowed = before - after, _points(gate.max_loss_old)
        change = f"{metric} on the old hold-out {_change(before, after)}"
        if loss > gate.max_loss_old + _ROUNDING:
            judged.append((False, f"{change}: a loss of {_points(loss)}, more than the {allowed} allowed"))
        elif loss > 0:
            said = f"{change}: a loss of {_points(loss)}, within the {allowed} allowed"
            judged.append((True, said + _reach(cell, metric, gate)))
        else:
            judged.append((True, f"{change}: nothing lost{_reach(cell, metric, gate)}"))
    return judged


def _lost_classes(cell: Cell | None, gate: Gate, *, asked: bool) -> list[tuple[bool, str]]:
    """Of several classes their recall on the old hold-out as a whole, mean and each: see the rule at the top."""
    if not asked:
        return []
    if cell is None:
        return [(False, "the models were not compared class by class, so what was forgotten cannot be seen")]
    said = _lost_in(cell, [recall_of(name) for name in cell.classes], gate)
    fine = [(True, "recall on the old hold-out: no class lost more than the gate allows")]
    return [*(said or fine), *_lost_mean(cell, gate)]


def _lost_mean(cell: Cell, gate: Gate) -> list[tuple[bool, str]]:
    """Whether the mean recall lost more than allowed, and whether its interval leaves no loss possible."""
    before, after = cell.champion.value("macro_recall"), cell.challenger.value("macro_recall")
    if before is None or after is None or before - after <= gate.max_loss_old + _ROUNDING:
        return []
    more, moved = _more_lost("macro recall", cell, before, after, gate), cell.differences["macro_recall"]
    interval = f"95 % interval {signed(moved.low)} to {signed(moved.high)}"
    if moved.high < 0:
        return [(False, f"{more} ({interval})")]
    return [(True, f"{more}, but no significant difference ({interval})")]


def _forgotten(eras: Sequence[Cell], gate: Gate) -> list[tuple[bool, str]]:
    """The hold-out of each past era: a loss counts that is more than allowed and hardly chance."""
    judged, fine = [], []
    for cell in eras:
        said = _lost_in(cell, _asked(cell), gate)
        judged += said
        if not said:
            fine.append(cell)
    if fine:
        judged.append((True, f"{_names(fine)}: no more lost than the gate allows{_far_ends(fine, gate)}"))
    return judged


def _asked(cell: Cell) -> list[str]:
    """The metrics that must not lose much: accuracy, and recall, or of several classes that of each."""
    names = ("accuracy", *map(recall_of, cell.classes)) if cell.classes else ("accuracy", "recall")
    return [name for name in names if name in cell.differences]


def _lost_in(cell: Cell, metrics: Sequence[str], gate: Gate) -> list[tuple[bool, str]]:
    """What is to be said of those of the metrics that lost more than allowed on a hold-out."""
    p_values = _p_values(cell)
    found = [_lost(cell, metric, gate, p_values.get(metric)) for metric in metrics]
    blocking = [one for one in found if one is not None and not one[0]]
    chance = [one for one in found if one is not None and one[0]]
    if (more := len(chance) - _NAMED) > 0:
        many = "1 more class" if more == 1 else f"{more:,} more classes"
        rest = f"{many} lost more than allowed on {_where(cell)}, each no significant difference"
        chance = [*chance[:_NAMED], (True, rest)]
    return [*blocking, *chance]


def _p_values(cell: Cell) -> Mapping[str, float]:
    """How likely chance alone is to lose so much of single classes, for all that occur together."""
    known = [recall_of(name) for name in cell.classes]
    return dict(zip(known, adjusted([cell.p_loss(metric) for metric in known]), strict=True))


def _lost(cell: Cell, metric: str, gate: Gate, together: float | None) -> tuple[bool, str] | None:
    """What is to be said of a metric that lost more than allowed; None where it did not.

    Args:
        together: Holm's p for all classes of the hold-out together; None for a metric that is not of one class.
    """
    before, after = cell.champion.value(metric), cell.challenger.value(metric)
    if before is None or after is None or before - after <= gate.max_loss_old + _ROUNDING:
        return None
    told = f'recall of "{name}"' if (name := class_of(metric)) else metric
    more = _more_lost(told, cell, before, after, gate)
    alone, rows = cell.p_loss(metric), _rows(cell, metric)
    if name and _is_forgotten(before, after, rows, alone):
        left = round(after * rows)
        told = f"only {left:,} of its {rows:,} rows {'is' if left == 1 else 'are'} found"
        told = told if left else f"none of its {rows:,} rows is found any more"
        return False, f'{more}: "{name}" is forgotten, {told} ({_p(alone, cell)})'
    shown = _p(alone, cell) if together is None else _p(together, cell, len(cell.classes))
    if (alone if together is None else together) <= CHANCE:
        return False, f"{more} ({shown})"
    return True, f"{more}, but on {_counted(rows)} no significant difference ({shown})"


def _is_forgotten(before: float, after: float, rows: int, p: float) -> bool:
    """Whether a class was known, and now is not: see the rule at the top.

    Args:
        before / after: its recall.
        rows: its rows.
        p: of the loss, by itself.
    """
    if round(before * rows) < _KNOWN:
        return False
    if before >= _NEARLY_ALL - _ROUNDING and after <= _NEARLY_NONE + _ROUNDING:
        return True
    return after == 0 and p <= CHANCE


def _more_lost(told: str, cell: Cell, before: float, after: float, gate: Gate) -> str:
    return (
        f"{told} on {_where(cell)} {_change(before, after)}: a loss of "
        f"{_points(before - after)}, more than the {_points(gate.max_loss_old)} allowed"
    )


def _where(cell: Cell) -> str:
    return "the old hold-out" if cell.holdout == "old" else f"the hold-out of {cell.holdout}"


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _rows(cell: Cell, metric: str) -> int:
    """How many rows of a hold-out a metric is about."""
    if metric == "accuracy":
        return cell.rows
    found = cell.champion
    return found.support[class_of(metric)] if isinstance(found, ClassMetrics) else found.tp + found.fn


def _far_ends(cells: Sequence[Cell], gate: Gate) -> str:
    """Which of them have too few rows to rule a larger loss out."""
    reaches = []
    for cell in cells:
        # not of single classes, of which an era may have a handful of rows
        ends = [-moved.low for name, moved in cell.differences.items() if name in ("accuracy", "recall")]
        if max(ends, default=0.0) > gate.max_loss_old + _ROUNDING:
            reaches.append(f"{_points(max(ends))} on the {_counted(cell.rows)} of {cell.holdout}")
    return (
        f"; 95 % intervals that do not rule more out reach a loss of {', '.join(reaches)}" if reaches else ""
    )


def _names(cells: Sequence[Cell]) -> str:
    return ", ".join(cell.holdout for cell in cells)


def _reach(cell: Cell | None, metric: str, gate: Gate) -> str:
    """That the interval holds a larger loss than is allowed; empty where it does not."""
    moved = None if cell is None else cell.differences.get(metric)
    if moved is None or -moved.low <= gate.max_loss_old + _ROUNDING:
        return ""
    return (
        f"; its 95 % interval reaches a loss of {_points(-moved.low)}, so these rows do not rule out "
        f"more than the {_points(gate.max_loss_old)} allowed"
    )


def _told_interval(cell: Cell) -> str:
    moved = cell.differences["accuracy"]
    return f"{signed(moved.value)} points, 95 % interval {signed(moved.low)} to {signed(moved.high)}"


def _p(p: float, cell: Cell, classes: int = 1) -> str:
    """The p of one test, or Holm's of those of so many classes."""
    together = f" of {classes:,} classes together" if classes > 1 else ""
    return f"p = {p:.2g}{together}, {cell.test}"


def _change(before: float, after: float) -> str:
    return " → ".join(_told(before, after))


def _told(one: float, other: float) -> tuple[str, str]:
    """Both numbers with three decimals, or as many more as it takes to tell them apart."""
    for digits in range(3, 9):
        texts = f"{one:.{digits}f}", f"{other:.{digits}f}"
        if texts[0] != texts[1] or one == other:
            break
    return texts


def _points(share: float) -> str:
    number = f"{100 * share:.2g}" if share < 0.995 else f"{100 * share:.0f}"
    return f"{number} point" if number == "1" else f"{number} points"


def _on(evaluations: Sequence[Evaluation], side: str) -> Evaluation | None:
    return next((e for e in evaluations if e.holdout == side), None)
