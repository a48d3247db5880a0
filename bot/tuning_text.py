"""What `driftcatcher tune` answers, in plain words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.backtest import Effect, Judged
from bot.tuning import Tuning

SHOWN = 20  # alerts a person reads; --json has all
_TRUTH = {"true_drift": "true drift", "false_alarm": "false alarm", None: "unknown"}


def tuning_text(tuning: Tuning) -> str:
    """The proposal with its effect first, or why there is none; then the alerts it was tried on."""
    lines = [f"{tuning.model}: {_tried(tuning)}"]
    if tuning.change is None or tuning.effect is None:
        lines.append(f"Nothing to propose: {tuning.reason}.")
    else:
        lines.append(f"Proposal: {effect_text(tuning.change.what, tuning.effect)}.")
        lines += [f"  {note}" for note in _cautions(tuning.effect)]
        where = f'To use it, set this in the [[models]] block of "{tuning.model}" in driftcatcher.toml:'
        lines += ["", where, "", *(f"    {line}" for line in tuning.change.toml.splitlines())]
    if tuning.alerts:
        lines += ["", *_table(tuning)]
    lines += _remarks(tuning)
    return "\n".join(lines)


def _tried(tuning: Tuning) -> str:
    alerts = tuning.alerts
    said = [_count(alerts, truth) for truth in ("true_drift", "false_alarm", None)]
    told = f": {said[0]} confirmed, {said[1]} false, {said[2]} of unknown truth" if alerts else ""
    return (
        f"the last {_many(len(tuning.judged), 'batch', 'batches')} judged again by the present settings, "
        f"{_many(len(alerts), 'alert')}{told}."
    )


def effect_text(what: str, effect: Effect) -> str:
    """One sentence, without its full stop."""
    removed, total = len(effect.removed), len(effect.alerts)
    confirmed = effect.count(effect.alerts, "true_drift")
    softened = effect.count(effect.softened, "true_drift")
    kept = "there is no confirmed one among them"
    if confirmed:
        stay = f"{confirmed} confirmed {'one keeps' if confirmed == 1 else 'ones keep'} alerting"
        change = "none of them changes its verdict"
        if softened:
            change = f"{softened} of them change{'s' * (softened == 1)} from drift to warning"
        kept = f"{stay}, and {change}"
    return f"{what}: removes {removed} of your last {total} alerts and no confirmed one; {kept}"


def _cautions(effect: Effect) -> list[str]:
    unknown = effect.count(effect.removed, None)
    notes = []
    if unknown:
        notes.append(
            f"{unknown} of the removed alerts {'is' if unknown == 1 else 'are'} of unknown truth: nobody said whether "
            "the drift was true."
        )
    if not effect.count(effect.alerts, "true_drift"):
        notes.append(
            "No true drift is known among these batches, so what the change would miss is not known."
        )
    return notes


def _table(tuning: Tuning) -> list[str]:
    """The alerts, newest first, and what the change makes of them."""
    removed = set(map(id, tuning.effect.removed)) if tuning.effect else set()
    softened = set(map(id, tuning.effect.softened)) if tuning.effect else set()
    rows = [("alert", "verdict", "what it was", "with the change" if tuning.change else "")]
    for judged in tuning.alerts[:SHOWN]:
        then = "removed" if id(judged) in removed else "warning" if id(judged) in softened else "as before"
        verdict, truth = judged.report.verdict, _TRUTH[judged.case.truth]
        rows.append((judged.case.name, verdict, truth, then if tuning.change else ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(tuning.alerts) > SHOWN:
        lines.append(f"  and {len(tuning.alerts) - SHOWN} older ones (--json has all)")
    return lines


def _remarks(tuning: Tuning) -> list[str]:
    lines = []
    if missed := [judged.case.name for judged in tuning.missed]:
        lines.append(
            f"Called true drift, and not alerting under the present settings: {', '.join(missed[:5])}"
            f"{f' and {len(missed) - 5} more' if len(missed) > 5 else ''}. `tune` proposes nothing stricter."
        )
    if tuning.left_out:
        lines.append(f"Left out: {_many(len(tuning.left_out), 'batch', 'batches')}. {tuning.left_out[0]}")
    return ["", *lines] if lines else []


def as_dict(tuning: Tuning) -> dict[str, Any]:
    """The same as plain JSON types."""
    change, effect = tuning.change, tuning.effect
    removed = set(map(id, effect.removed)) if effect else set()
    softened = set(map(id, effect.softened)) if effect else set()
    return {
        "model": tuning.model,
        "batches": len(tuning.judged),
        "proposal": None
        if change is None or effect is None
        else {
            "change": change.what,
            "toml": change.toml,
            "effect": effect_text(change.what, effect),
            "removed": len(effect.removed),
            "removed_of_unknown_truth": effect.count(effect.removed, None),
            "confirmed_kept": effect.count(effect.alerts, "true_drift"),
            "confirmed_softened": effect.count(effect.softened, "true_drift"),
        },
        "reason": tuning.reason,
        "alerts": [
            {
                "batch": judged.case.batch.id,
                "file": judged.case.batch.path,
                "verdict": judged.report.verdict,
                "truth": judged.case.truth,
                "removed": id(judged) in removed,
                "softened": id(judged) in softened,
            }
            for judged in tuning.alerts
        ],
        "missed": [judged.case.batch.id for judged in tuning.missed],
        "left_out": list(tuning.left_out),
    }


def _count(judged: Sequence[Judged], truth: str | None) -> int:
    return sum(one.case.truth == truth for one in judged)


def _many(number: int, thing: str, things: str = "") -> str:
    return f"{number} {thing if number == 1 else things or thing + 's'}"
