"""What a retrain is expected to bring, and what came of it, in words. Pure."""

from __future__ import annotations

import math

from state.records import Retrain
from trainers.judgement import Expectation, signed
from trainers.promotion import CHANCE


def minutes(seconds: float) -> str:
    """`less than a minute`, `about 4 minutes`, `about 2 hours`."""
    if seconds < 50:
        return "less than a minute"
    if seconds < 90 * 60:
        whole = math.ceil(seconds / 60)
        return f"about {whole} minute{'s' * (whole != 1)}"
    return f"about {round(seconds / 3600)} hours"


def expectation_line(found: Expectation) -> str:
    """The gain with its interval, or that none can be shown; and the time."""
    cell = found.cell
    moved = cell.differences["accuracy"]
    shares = f"{100 * (cell.champion.accuracy or 0):.1f} % → {100 * (cell.challenger.accuracy or 0):.1f} %"
    points = f"{signed(moved.value)} points, 95 % interval {signed(moved.low)} to {signed(moved.high)}"
    if cell.p_gain() <= CHANCE:
        said = f"Expected on new data: accuracy {shares} ({points})"
    elif cell.p_loss() <= CHANCE:
        said = f"Expected on new data: a loss, accuracy {shares} ({points}); look at the labels first"
    else:
        said = (
            f"No gain on new data can be shown: accuracy {shares} ({points}), no significant difference; "
            "more labelled rows would tell"
        )
    return (
        f"{said}. Estimated on {cell.rows:,} labelled rows by quick fits, hold-outs untouched. "
        f"A retrain takes {minutes(found.seconds)}."
    )


def came_line(found: Expectation, retrain: Retrain) -> str:
    """The expectation against the judgement on the new hold-out; empty where there is none."""
    outcome = retrain.outcome
    new = next((cell for cell in outcome.matrix if cell.holdout == "new"), None) if outcome else None
    if new is None:
        return ""
    hoped, came = found.cell.differences["accuracy"], new.differences["accuracy"]
    verdict = "as expected"
    if came.high < hoped.low:
        verdict = "less than expected"
    elif came.low > hoped.high:
        verdict = "more than expected"
    took = ""
    if retrain.started_at is not None and retrain.finished_at is not None:
        spent = (retrain.finished_at - retrain.started_at).total_seconds()
        took = f"; expected {minutes(found.seconds)}, took {minutes(spent)}"
    return (
        f"On new data {signed(hoped.value)} points of accuracy were expected ({signed(hoped.low)} to "
        f"{signed(hoped.high)}), {signed(came.value)} came ({signed(came.low)} to {signed(came.high)}): "
        f"{verdict}{took}"
    )
