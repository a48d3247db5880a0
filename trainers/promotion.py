"""The gate before promotion: pure. It recommends; it never hides a number, and it never promotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trainers.base import Evaluation, Gate

if TYPE_CHECKING:
    from detectors.metrics import Metrics

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
_CHANCE = 0.05  # McNemar's p above which a gain is not shown
_ROUNDING = 1e-9  # 0.99 - 0.98 is a little more than 0.01


def recommend(
    champion: Sequence[Evaluation],
    challenger: Sequence[Evaluation],
    gate: Gate,
    *,
    p_new: float | None = None,
) -> tuple[Literal["promote", "keep"], tuple[str, ...]]:
    """Promote if the challenger is better on the new hold-out, forgot little of the old, and keeps limits.

    Args:
        champion / challenger: their evaluations on the same rows.
        gate: the policy.
        p_new: probability of so large a gain on the new hold-out by chance (`mcnemar`); a gain at more than
            0.05 is none. None where it is not known.

    Returns:
        The recommendation and its reasons, the decisive ones first: what blocks, or else what is gained.
    """
    gain, better = _gain(_on(champion, "new"), _on(challenger, "new"), p_new)
    judged = [(better, gain), *_losses(_on(champion, "old"), _on(challenger, "old"), gate)]
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
        if limit is None:
            continue
        measured = [
            (side, v) for side in ("new", "old") if (v := _measured(evaluations, side, metric)) is not None
        ]
        for side, value in measured:
            if (value - limit) * better < -_ROUNDING:
                told, asked = _told(value, limit)
                beyond = f"{'below' if better > 0 else 'above'} the gate's {asked}"
                found.append(f"{_WORDS[metric]} on the {side} hold-out is {told}, {beyond}")
        if not measured:
            found.append(
                f"{_WORDS[metric]} cannot be measured on any hold-out, so the gate's {limit:.3f} is not shown"
            )
    return tuple(found)


def _measured(evaluations: Sequence[Evaluation], side: str, metric: str) -> float | None:
    """A metric on a hold-out; None where that lacks a class which the metric is about."""
    evaluation = _on(evaluations, side)
    if evaluation is None:
        return None
    counts = evaluation.metrics
    if metric == "precision" and not (counts.fp + counts.tn):
        return None  # without negatives there are no false alarms: 1.0 would mean nothing
    return _value(counts, metric)


def mcnemar(champion_right: Sequence[bool], challenger_right: Sequence[bool]) -> float:
    """McNemar's exact one-sided p: how often chance alone would favour the challenger at least this much.

    Of the rows on which exactly one of the two is right, without a difference each is right in half of them
    (McNemar, Psychometrika 12, 1947; exact binomial form). No such row gives p = 1.
    """
    from scipy.stats import binomtest

    pairs = list(zip(champion_right, challenger_right, strict=True))
    gained = sum(bool(new and not old) for old, new in pairs)
    lost = sum(bool(old and not new) for old, new in pairs)
    return float(binomtest(gained, gained + lost, alternative="greater").pvalue) if gained + lost else 1.0


def _gain(
    champion: Evaluation | None, challenger: Evaluation | None, p_new: float | None
) -> tuple[str, bool]:
    if champion is None or challenger is None:
        return "there is no new hold-out, so no gain can be shown: label more new rows", False
    before, after = champion.metrics.accuracy, challenger.metrics.accuracy
    if before is None or after is None:
        return "accuracy on the new hold-out cannot be measured, so no gain can be shown", False
    change = f"accuracy on the new hold-out {_change(before, after)} ({challenger.rows:,} rows"
    change += ")" if p_new is None else f", p = {p_new:.2g}, McNemar's exact test)"
    if after > before:
        if p_new is None or p_new <= _CHANCE:
            return change, True
        return f"{change}: so small a gain can be chance; more labelled rows would tell", False
    if before == 1:
        return (
            f"{change}: the current model gets every new row right already, there is nothing to gain",
            False,
        )
    return f"{change}: no better than the current model", False


def _losses(champion: Evaluation | None, challenger: Evaluation | None, gate: Gate) -> list[tuple[bool, str]]:
    if champion is None or challenger is None:
        return [(False, "there is no old hold-out, so what the new model has forgotten cannot be seen")]
    judged = []
    for metric in ("accuracy", "recall"):
        before, after = _value(champion.metrics, metric), _value(challenger.metrics, metric)
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
            judged.append((True, f"{change}: a loss of {_points(loss)}, within the {allowed} allowed"))
        else:
            judged.append((True, f"{change}: nothing lost"))
    return judged


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
    number = f"{100 * share:.2g}"
    return f"{number} point" if number == "1" else f"{number} points"


def _on(evaluations: Sequence[Evaluation], side: str) -> Evaluation | None:
    return next((e for e in evaluations if e.holdout == side), None)


def _value(metrics: Metrics, name: str) -> float | None:
    value: float | None = getattr(metrics, name)
    return value
