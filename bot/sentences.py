"""What a report says beyond its table, in plain sentences for terminal and Slack alike: causes, cost, blind spots."""

from __future__ import annotations

from detectors.report import Cause, DriftReport, Estimate

BLIND = (
    "It cannot see labels that have changed their meaning (concept drift): only labels show that "
    "(`driftcatcher performance`)."
)
NAMED = 3  # features of a cause


def estimate_lines(report: DriftReport) -> list[str]:
    """What the batch has probably cost the model; nothing where it was not estimated."""
    found = report.estimate
    if found is None:
        return []
    if not found.valid:
        return [
            f"{found.outside:.0%} of the rows lie outside what the model was trained on: no estimate of its "
            "accuracy holds there. Label a random sample to know."
        ]
    return [f"{_estimated(found)}. {_loss(found)}", BLIND]


def _estimated(found: Estimate) -> str:
    more = [
        f"{name} {value:.1%}"
        for name, value in (("precision", found.precision), ("recall", found.recall))
        if value is not None
    ]
    also = f", {' and '.join(more)}" if more else ""
    return (
        f"Estimated accuracy {found.accuracy:.1%} (95 % interval {found.low:.1%} to {found.high:.1%}){also}; "
        f"on the hold-outs it was {found.reference:.1%}"
    )


def _loss(found: Estimate) -> str:
    outside = ""
    if found.outside >= 0.01:
        outside = f" {found.outside:.1%} of the rows lie outside what it was trained on, where nothing is estimated."
    if found.harm:
        return f"About {100 * found.loss:.1f} points are lost.{outside}"
    if found.harmless:
        return f"No loss of two points or more is expected.{outside}"
    return f"A loss of two points or more can neither be shown nor excluded.{outside}"


def cause_lines(report: DriftReport, most: int = 3) -> list[str]:
    """The leading causes, one line each: what moved, what moved with it, its share, and where."""
    lines = [_cause(cause) for cause in report.causes[:most]]
    if (left := len(report.causes) - most) > 0:
        share = sum(cause.contribution for cause in report.causes[most:])
        lines.append(f"{left} more cause{'s' * (left != 1)} with {share:.0%} of the drift together")
    return lines


def _cause(cause: Cause) -> str:
    lead, *others = cause.features
    moved = lead
    if others:
        shown = others[: NAMED - 1]
        rest = len(others) - len(shown)
        moved += f" (and with it {', '.join(shown)}{f' and {rest} more' if rest else ''})"
    where = ""
    if cause.segment:
        where = f", most of it where {cause.segment} ({cause.segment_share:.0%} of the rows)"
    return f"{moved}: {cause.contribution:.0%} of the drift{where}"
