"""Creep: a feature that moves a little with each batch, below the threshold each time. Pure.

A cumulative sum over the batches' p-values finds what no batch shows by itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

ALLOWANCE = 0.5  # k: half of the shift, in standard deviations of z, that is found fastest
RUN_LENGTH = 1_000.0  # batches between false alarms of a model, all its features together
LEAST_BATCHES = 3
_OVERSHOOT = 1.166  # 2 x 0.583, Siegmund's correction for jumping over the limit


@dataclass(frozen=True, slots=True)
class Creeping(Generic[Key]):
    """A feature that creeps as of the newest batch.

    Attributes:
        key: the feature (or whatever the history is kept by).
        since: index into the history of the batch with which the excursion began.
        statistic: the cumulative sum that raised the alarm.
        effect: mean effect of the newest three batches that measured it.
    """

    key: Key
    since: int
    statistic: float
    effect: float


def creeping(
    history: Sequence[Mapping[Key, tuple[float | None, float | None]]],
    moderate: Mapping[Key, float],
    *,
    run_length: float = RUN_LENGTH,
) -> list[Creeping[Key]]:
    """Features that have crept away over the batches, largest effect first.

    One-sided CUSUM of z = Phi^-1(1 - p): S = max(0, S + z - k), k = 1/2. There is an alarm where S reaches
    h, at least three batches after it has left zero, and the mean effect of the newest three exceeds half of the
    moderate threshold. S then starts anew, and the feature creeps until that mean is at or below a quarter.
    h comes from Siegmund's approximation of the average run length, for all features of the newest batch
    together. No batch adds more than h/3, so one strange batch is no creep; and S is held at h while the effect
    is too small, so what is over is forgotten within some batches.

    p-values without drift must be honest, and may be conservative. They need not be independent over the
    features. Over the batches they are not quite: all are compared with the same reference, whose own sampling
    error the sum takes for drift; the floor of the effect is there for that too.

    Args:
        history: feature -> (p, effect) of each batch, oldest first; None or NaN is as if it had not been measured.
        moderate: feature -> effect from which one batch alone would be moderate drift.
        run_length: average number of batches between false alarms, all features together, above 1.

    References:
        Page, "Continuous inspection schemes", Biometrika 41 (1954); Siegmund, Sequential Analysis (1985), 10.16;
        Lucas and Crosier, "Robust CUSUM", Commun. Statist. 11 (1982), on lone outliers.
    """
    if not history:
        return []
    tested = [key for key, pair in history[-1].items() if _usable(pair) is not None and key in moderate]
    if not tested:
        return []
    limit = decision_limit(run_length * len(tested))
    found = []
    for key in tested:
        series = [(i, pair) for i, batch in enumerate(history) if (pair := _usable(batch.get(key)))]
        if (state := _follow(series, limit, moderate[key] / 2)) is not None:
            found.append(Creeping(key, *state))
    return sorted(found, key=lambda c: -c.effect / max(moderate[c.key], 1e-12))


def decision_limit(run_length: float, allowance: float = ALLOWANCE) -> float:
    """h for which a CUSUM of standard normal deviates has this average run length without a shift.

    Siegmund: ARL = (exp(2 k b) - 2 k b - 1)/(2 k^2) with b = h + 1.166.

    Tabulated for k = 1/2 (Montgomery, Introduction to Statistical Quality Control): 335 at h = 4, 930 at h = 5.

    >>> round(decision_limit(335), 1), round(decision_limit(930), 1)
    (4.0, 5.0)
    """
    low, high = 0.0, 1_000.0
    for _ in range(80):
        middle = (low + high) / 2
        x = 2 * allowance * (middle + _OVERSHOOT)
        short = x < 700 and math.expm1(x) - x < run_length * 2 * allowance**2
        low, high = (middle, high) if short else (low, middle)
    return high


def _usable(pair: tuple[float | None, float | None] | None) -> tuple[float, float] | None:
    """p and effect, None where either was not measured."""
    if pair is None or pair[0] is None or pair[1] is None or math.isnan(pair[0]) or math.isnan(pair[1]):
        return None
    return pair[0], pair[1]


def _follow(
    series: Sequence[tuple[int, tuple[float, float]]], limit: float, floor: float
) -> tuple[int, float, float] | None:
    """Where the excursion began, its statistic and the mean effect, if the feature creeps at the end."""
    total, batches, began = 0.0, 0, 0
    alarm: tuple[int, float] | None = None
    newest: deque[float] = deque(maxlen=LEAST_BATCHES)
    for i, (p, effect) in series:
        newest.append(effect)
        mean = fmean(newest)
        if alarm is not None:
            if mean > floor / 2:  # lower than what raised it: an effect about the floor does not come and go
                continue
            alarm = None
        if total == 0.0:
            began, batches = i, 0
        total = max(0.0, total + min(_deviate(p), limit / LEAST_BATCHES + ALLOWANCE) - ALLOWANCE)
        batches += 1
        if total >= limit * (1 - 1e-9):
            if mean > floor and batches >= LEAST_BATCHES:
                alarm, total = (began, total), 0.0
            total = min(total, limit)
    return None if alarm is None else (*alarm, fmean(newest))


def _deviate(p: float) -> float:
    """Phi^-1(1 - p)."""
    from scipy.special import ndtri

    return -float(ndtri(p))
