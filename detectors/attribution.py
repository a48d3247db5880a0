"""Which features to blame, worst first: drift times importance, what moves together as one cause, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detectors.codes import ABOVE, BELOW, NO_CATEGORY, OTHER, QUANTILES, UNSEEN, CodedRows, quantile_edges
from detectors.profile import FeatureProfile
from detectors.psi import psi
from detectors.report import Cause

_TOGETHER = 0.7  # rank correlation, or Cramér's V of two categories, from which two features are one cause
_MOST = 60  # drifted features that are grouped; each pair is looked at
_LEADING = 3  # causes whose segment is looked for
_SEGMENT_SHARES = (0.03, 0.6)  # of the batch: less explains nothing, more is no segment
_LEFT = 0.25  # of a drift may remain outside the segment that explains it
CODES = 36  # more than the largest code
_QUARTER = QUANTILES // 4


def contributions(effects: Mapping[str, float], importance: Mapping[str, float]) -> dict[str, float]:
    """Share of each feature in the drift: its effect, in units of its threshold, times its importance.

    Every feature counts a little, however unimportant the model finds it: a tenth of the average.
    """
    even = 1 / max(1, len(importance))
    weight = {name: importance.get(name, even) + 0.1 * even for name in effects}
    total = sum(effects[name] * weight[name] for name in effects)
    return {name: effects[name] * weight[name] / total if total else 0.0 for name in effects}


def causes(
    shares: Mapping[str, float],
    parts: Mapping[str, FeatureProfile],
    reference: CodedRows,
    current: CodedRows,
) -> tuple[Cause, ...]:
    """Group the drifted features and say where their drift happens, largest contribution first.

    Args:
        shares: drifted feature -> contribution.
        parts: reference profiles of all features.
        reference / current: rows of both, coded alike.
    """
    drifted = sorted((n for n in shares if n in reference.features), key=lambda n: -shares[n])
    groups = _groups(drifted[:_MOST], reference, current) + [[name] for name in drifted[_MOST:]]
    groups.sort(key=lambda group: -sum(shares[name] for name in group))
    found = []
    for rank, group in enumerate(groups):
        segment, share = ("", 0.0)
        if rank < _LEADING:
            segment, share = _segment(group, parts, reference, current)
        found.append(Cause(tuple(group), sum(shares[name] for name in group), segment, share))
    return tuple(found)


def _groups(names: Sequence[str], reference: CodedRows, current: CodedRows) -> list[list[str]]:
    """Connected features, in the order of the names (single linkage)."""
    linked = {name: name for name in names}

    def root(name: str) -> str:
        while linked[name] != name:
            name = linked[name]
        return name

    for table in (reference.of(names), current.of(names)):
        together = _association(table)
        for i, j in zip(*np.nonzero(np.triu(together >= _TOGETHER, 1)), strict=True):
            first, second = sorted((root(names[i]), root(names[j])), key=names.index)
            linked[second] = first
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def _association(table: CodedRows) -> np.ndarray:
    """Spearman's |rho| of two numbers, Cramér's V of two categories, 0 otherwise; shape (features, features)."""
    size = len(table.features)
    found = np.zeros((size, size))
    numeric = np.array([kind == "numeric" for kind in table.kinds], dtype=bool)
    at = np.flatnonzero(numeric)
    if len(at) > 1 and table.rows > 2:
        ranks = np.stack([_ranks(table.codes[:, i]) for i in at], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = np.abs(np.nan_to_num(np.corrcoef(ranks, rowvar=False)))
        found[np.ix_(at, at)] = rho
    words = np.flatnonzero(~numeric)
    for k, i in enumerate(words):
        for j in words[k + 1 :]:
            found[i, j] = found[j, i] = _cramers_v(_crossed(table.codes[:, i], table.codes[:, j]))
    return found


def _ranks(codes: np.ndarray) -> np.ndarray:
    """Average ranks; codes are few, so counting them ranks them."""
    counts = np.bincount(codes, minlength=CODES)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return ranks


def _crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of codes occurs, shape (36, 36)."""
    pairs = a.astype(np.int64) * CODES + b
    return np.bincount(pairs, minlength=CODES * CODES).reshape(CODES, CODES)


def _cramers_v(table: np.ndarray) -> float:
    """Cramér, Mathematical Methods of Statistics (1946), 21.9."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    total, least = table.sum(), min(table.shape) - 1
    if not least:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / total / least))


def _segment(
    group: Sequence[str], parts: Mapping[str, FeatureProfile], reference: CodedRows, current: CodedRows
) -> tuple[str, float]:
    """The segment without which the group's leading feature would not have drifted, and its share of the batch."""
    lead = reference.features.index(group[0])
    ours, theirs = reference.codes[:, lead], current.codes[:, lead]
    before, after = np.bincount(ours, minlength=CODES), np.bincount(theirs, minlength=CODES)
    whole = _effect(before, after)
    best: tuple[float, float, str] | None = None
    for i, name in enumerate(reference.features):
        if name in group:
            continue
        old, new = _crossed(reference.codes[:, i], ours), _crossed(current.codes[:, i], theirs)
        for codes, label in named_cells(parts[name], new.sum(axis=1)):
            inside = new[codes].sum(axis=0)
            share = float(inside.sum()) / current.rows
            if not _SEGMENT_SHARES[0] <= share <= _SEGMENT_SHARES[1]:
                continue
            rest = before - old[codes].sum(axis=0)
            if rest.sum() < 0.1 * reference.rows:  # nothing is left to compare with
                continue
            left = _effect(rest, after - inside)
            if left <= _LEFT * whole and (best is None or (left, share) < best[:2]):
                best = left, share, label
    return ("", 0.0) if best is None else (best[2], best[1])


def _effect(before: np.ndarray, after: np.ndarray) -> float:
    """PSI of two rows of codes, eighths of the reference, corrected for the number of rows."""
    if not before.sum() or not after.sum():
        return 0.0
    eighths = np.minimum((np.arange(CODES) + 3) // 4, 9)
    coarse = [np.bincount(eighths, weights=side, minlength=10) for side in (before, after)]
    occupied = int(((coarse[0] + coarse[1]) > 0).sum())
    return psi(*coarse) - (occupied - 1) * float(1 / before.sum() + 1 / after.sum())


def named_cells(part: FeatureProfile, rows: np.ndarray) -> list[tuple[list[int], str]]:
    """Candidate segments of a feature: codes and name; `rows` of a batch have each code, shape (36,)."""
    if part.kind == "categorical":
        named = [([i], f'{part.name} = "{word}"') for i, word in enumerate(part.known[:OTHER])]
        return [
            *named,
            ([UNSEEN], f"{part.name} in a category never seen"),
            ([NO_CATEGORY], f"{part.name} missing"),
        ]
    edges = [part.grid[0], *quantile_edges(part)[_QUARTER - 1 :: _QUARTER], part.grid[-1]]
    quarters = [
        (
            list(range(1 + k * _QUARTER, 1 + (k + 1) * _QUARTER)),
            f"{part.name} {_interval(edges[k], edges[k + 1], lowest=not k)}",
        )
        for k in range(4)
    ]
    return [
        *(quarter for quarter in quarters if rows[quarter[0]].any()),
        ([BELOW], f"{part.name} below {edges[0]:.6g}, the training range"),
        ([ABOVE], f"{part.name} above {edges[-1]:.6g}, the training range"),
        ([QUANTILES + 2], f"{part.name} missing"),
    ]


def _interval(low: float, high: float, *, lowest: bool) -> str:
    """An edge belongs to the quarter below it; the lowest has both its ends."""
    if not lowest:
        return f"above {low:.6g} up to {high:.6g}"
    return f"= {low:.6g}" if low == high else f"between {low:.6g} and {high:.6g}"
