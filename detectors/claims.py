"""What both halves of the contract suite claim of a detector, and how a broken promise is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from detectors.base import Score


def claim(holds: bool, otherwise: str) -> None:
    """AssertionError with the sentence where it does not hold."""
    if not holds:
        raise AssertionError(f"The detector breaks its contract: {otherwise}.")


def claim_honest(scores: Iterable[Score | None], too_many: Mapping[float, int], what: str) -> None:
    """Without drift no more p-values lie at or below a level than `too_many` allows; `what` names the batches."""
    p_values = [s.p_value for s in scores if s is not None and s.p_value is not None]
    for level, most in too_many.items():
        below = sum(p <= level for p in p_values)
        claim(below <= most, f"{below} of {len(p_values)} {what} without drift have p <= {level}")
