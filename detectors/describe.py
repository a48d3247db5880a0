"""What changed in a feature, as one short phrase for people."""

from __future__ import annotations

import math

import numpy as np

from detectors.profile import TOP_CATEGORIES, FeatureProfile

_MANY = 3  # unseen categories named


def describe(reference: FeatureProfile, current: FeatureProfile) -> str:
    """The largest change between two summaries ("median 12 → 88", "missing 0 % → 41 %"), or empty."""
    if not reference.rows or not current.rows:
        return ""
    before, after = reference.cells / reference.rows, current.cells / current.rows
    floor = 0.5 / max(reference.rows, current.rows)
    weight = (after - before) * np.log((after + floor) / (before + floor))
    worst = int(np.argmax(weight))
    if weight[worst] < 1e-4:
        return ""
    if worst != len(weight) - 1:
        worst = int(np.argmax(np.where(after > before, weight, -1)))  # what has come says more than what went
    if worst == len(weight) - 1:
        return missing_change(reference, current)
    if reference.kind == "categorical":
        return _categorical(reference, current, worst, before, after)
    if worst in (0, len(weight) - 2):
        return rows_beyond(float(after[worst]), "above" if worst else "below")
    return _numeric(reference, current, before, after)


def missing_change(reference: FeatureProfile, current: FeatureProfile) -> str:
    """ "missing 0 % → 41 %", or "not a number" where most of them are cells of the wrong type."""
    before, after = reference.missing / reference.rows, current.missing / current.rows
    what = "not a number" if current.invalid > current.missing / 2 else "missing"
    return f"{what} {_percent(before)} → {_percent(after)}"


def rows_beyond(share: float, side: str) -> str:
    """ "31 % of rows above the training range"."""
    return f"{_percent(share)} of rows {side} the training range"


def unseen_words(current: FeatureProfile) -> str:
    """ "12 % in 3 categories never seen (x, y, z)"."""
    words = list(current.unseen)
    named = ", ".join(_short(word) for word in words[:_MANY]) + (", …" if len(words) > _MANY else "")
    plural = "category" if len(words) == 1 else "categories"
    share = _percent(current.unseen_rows / current.rows)
    return f"{share} in {len(words)} {plural} never seen ({named})"


def _numeric(
    reference: FeatureProfile, current: FeatureProfile, before: np.ndarray, after: np.ndarray
) -> str:
    # a median that stays in the reference's middle fifth explains nothing: then the cell that grew is named
    if current.filled and not reference.quantile(0.4) <= current.median <= reference.quantile(0.6):
        old, new = _medians(reference, current)
        if old != new:
            return f"median {old} → {new}"
    most = int(np.argmax((after - before)[1:-2])) + 1
    return f"share of {current.cell_labels[most]}: {_percent(before[most])} → {_percent(after[most])}"


def _medians(reference: FeatureProfile, current: FeatureProfile) -> tuple[str, str]:
    # as many digits as the difference deserves: 12 → 88, 0.31 → 0.34, 4,058,000 → 3,927,000
    gap = abs(current.median - reference.median)
    digits = 2 - math.floor(math.log10(gap)) if 0 < gap < math.inf else 2
    return _median(reference, digits), _median(current, digits)


def _median(part: FeatureProfile, digits: int) -> str:
    low, high = part.quantile_range(0.5)
    if high - low <= 0.1 * max(abs(low), abs(high)):
        return _number(part.median, digits)
    ends = _number(low, digits), _number(high, digits)
    return ends[0] if ends[0] == ends[1] else f"between {ends[0]} and {ends[1]}"


def _number(value: float, digits: int) -> str:
    if not 1e-6 < abs(value) < 1e15 and value:
        return f"{value:.4g}"
    text = f"{round(value, digits):,.{min(12, max(0, digits))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _categorical(
    reference: FeatureProfile, current: FeatureProfile, worst: int, before: np.ndarray, after: np.ndarray
) -> str:
    unseen = len(before) - 2
    if worst == unseen:
        return unseen_words(current)
    name = (
        "all rarer categories"
        if worst == min(TOP_CATEGORIES, unseen - 1)
        else f'"{_short(reference.known[worst])}"'
    )
    return f"share of {name} {_percent(before[worst])} → {_percent(after[worst])}"


def _short(word: str, most: int = 40) -> str:
    return word if len(word) <= most else word[: most - 1] + "…"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1 %"
    digits = 1 if 0 < share < 0.1 or 0.99 < share < 1 else 0
    return f"{100 * share:.{digits}f} %"
