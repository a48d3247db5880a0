"""Holm's step-down: which of several p-values are significant, at a level that holds for all of them together.

References:
    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
"""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: the least level for all together at which each is significant.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none is below one before it, nor above 1.
    """
    found, reached = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, p_values[place] * (len(p_values) - rank))
        found[place] = min(1.0, reached)
    return found


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Whether each is significant, in the order given.

    The smallest is held against alpha / n, the next against alpha / (n - 1), and so on until one is not.
    """
    return [p <= alpha for p in adjusted(p_values)]
