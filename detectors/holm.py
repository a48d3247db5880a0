"""Holm's step-down: which of several p-values are significant, at a level that holds for all of them together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Whether each is significant, in the order given.

    The smallest is held against alpha / n, the next against alpha / (n - 1), and so on until one is not.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    passed = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] * (len(p_values) - rank) > alpha:
            break
        passed[place] = True
    return passed
