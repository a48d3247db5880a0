"""The cases of a troubled model told apart: did the features drift, did the model get worse, or both?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Case = Literal["neither", "drift_without_harm", "harm_without_drift", "both", "undecided"]

_DRIFTED = {"drift": True, "warning": True, "stable": False}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Attributes: title is a phrase, advice one sentence of what to do."""

    case: Case
    title: str
    advice: str


_KNOWN = {
    (False, False): Diagnosis(
        "neither",
        "neither drift nor harm",
        "Nothing to do: the features are as they were, and the labels show no loss.",
    ),
    (True, False): Diagnosis(
        "drift_without_harm",
        "drift without harm",
        "Do not retrain for this alone: the features moved where the model is still right; if they stay there,"
        " let the next retrain take the new rows into the baseline.",
    ),
    (False, True): Diagnosis(
        "harm_without_drift",
        "harm without drift (concept drift: labels changed their meaning, features did not)",
        "Make sure that these labels are right, then retrain with rows labelled since the change, and leave out"
        " older ones that carry the old meaning.",
    ),
    (True, True): Diagnosis(
        "both",
        "both drift and harm",
        "Label rows of the new kind and retrain on old and new data together.",
    ),
}


_BROKEN = (
    "A limit is broken, but the model is no worse than on its hold-outs: train a better one, or set the limit to what"
    " this one can keep."
)


def diagnose(
    verdict: str | None, harm: bool | None, *, labels_needed: int | None = None, broken: bool = False
) -> Diagnosis:
    """Tell the cases apart.

    Args:
        verdict: of the drift check of the batch, None where none was checked. Moderate drift is drift.
        harm: what labels show, None where they are too few to tell.
        labels_needed: how many would do, None where no number does.
        broken: a fixed limit is broken all the same.
    """
    drift = _DRIFTED.get(verdict or "")
    if drift is not None and harm is not None:
        known = _KNOWN[drift, harm]
        return replace(known, advice=_BROKEN) if broken and not harm else known
    seen = {None: "too few labels to tell of harm", True: "harm", False: "no harm"}[harm]
    features = {
        None: "whether the features drifted is not known",
        True: "the features drifted",
        False: "the features did not drift",
    }[drift]
    return Diagnosis("undecided", f"{seen}; {features}", _advice(verdict, harm, labels_needed))


def _advice(verdict: str | None, harm: bool | None, needed: int | None) -> str:
    if harm is None:
        if needed is None:
            return (
                "No number of labels is sure to show a loss of two points, since the hold-outs have too few rows:"
                " train the next version on more labelled data."
            )
        return f"Label rows drawn at random from this batch, until there are about {needed:,} labels."
    if verdict == "broken_feed":
        return "Mend the feed first: the features of this batch are missing or of the wrong type."
    if verdict == "insufficient_data":
        return "Check a larger batch: the one that was checked has too few rows for a verdict."
    return "Check the features of these rows by `driftcatcher check FILE`, then name them by --batch FILE."
