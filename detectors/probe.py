"""A second, short look at the first block of a batch: at columns that seem wrong, and at its clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import number
from detectors.clock import seconds
from detectors.errors import DataError
from detectors.location import Location
from detectors.significance import smirnov
from detectors.source import Chunk, stream

if TYPE_CHECKING:
    import pandas as pd

    from detectors.profile import FeatureProfile

_WORDS = 5
_LEAST_ROWS = 30  # with which a column can be recognised by its values
_ALIKE = 0.05  # distance, beyond chance, up to which two columns hold the same
_TELLING = 0.95  # a column with one value in more of its rows is like any other such column


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What was seen in the first block of a batch.

    Attributes:
        renamed: missing feature -> column that the baseline does not know and that holds the same values.
        strays: numeric feature -> the most frequent of its cells that are no numbers.
        clocks: column of dates -> seconds since 1970, float64, NaN where a cell is no date.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    strays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clocks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def merge(self, other: Probe) -> Probe:
        """What was seen in either of two parts; what both have seen, as the first has."""
        return Probe(
            self.renamed or other.renamed, {**other.strays, **self.strays}, {**other.clocks, **self.clocks}
        )


def look(
    source: pd.DataFrame | Location | str,
    features: Mapping[str, FeatureProfile],
    missing: Sequence[str],
    extra: Sequence[str],
    strange: Sequence[str],
    clocks: Sequence[str],
) -> Probe | None:
    """Look where there is something to look at; a file that does not allow it is no worse for that.

    Args:
        features: profiles of the reference.
        missing / extra: features that are not there, columns that the baseline does not know.
        strange: numeric features with cells that are no numbers.
        clocks: columns of dates.
    """
    unknown = list(extra) if missing else []
    if not (unknown or strange or clocks):
        return None
    words = _first(source, [], [*unknown, *strange, *clocks])
    if words is None:
        return None
    columns = dict(words.categorical)
    if unknown:
        numbers = _first(source, unknown, [])
        if numbers is not None:
            renamed = _renamed(features, missing, unknown, numbers.numeric, words.categorical)
        else:
            renamed = {}
    else:
        renamed = {}
    return Probe(
        renamed, {name: _strays(columns[name]) for name in strange}, {c: _moments(columns[c]) for c in clocks}
    )


def _first(
    source: pd.DataFrame | Location | str, numeric: Sequence[str], categorical: Sequence[str]
) -> Chunk | None:
    try:
        return next(iter(stream(source, frozenset(numeric), frozenset(categorical))), None)
    except DataError:
        return None


def _strays(words: np.ndarray) -> tuple[str, ...]:
    found = Counter(word for word in words.tolist() if word is not None and number(word) is None)
    return tuple(word[:40] for word, _ in found.most_common(_WORDS))


def _moments(words: np.ndarray) -> np.ndarray:
    import pandas as pd

    return seconds(pd.Series(words, dtype="str"))


def _renamed(
    features: Mapping[str, FeatureProfile],
    missing: Sequence[str],
    unknown: Sequence[str],
    numbers: Mapping[str, np.ndarray],
    words: Mapping[str, np.ndarray],
) -> dict[str, str]:
    """Each missing feature with the unknown column that is most like it, closest pairs first, each column once."""
    pairs = []
    for name in missing:
        part = features[name]
        for column in unknown:
            values = numbers[column] if part.kind == "numeric" else words[column]
            distance = _distance(part, part.summarize(values))
            if distance is not None:
                # of columns that hold the same, the one whose name is more alike
                pairs.append((round(distance, 2), -_common(name, column), name, column))
    found: dict[str, str] = {}
    for _, _, name, column in sorted(pairs):
        if name not in found and column not in found.values():
            found[name] = column
    return found


def _distance(reference: FeatureProfile, current: FeatureProfile) -> float | None:
    """Kolmogorov's distance, or that of the categories' shares; None where the two do not hold the same."""
    m, n = reference.filled, current.filled
    if min(m, n) < _LEAST_ROWS:
        return None
    if reference.kind == "numeric":
        before, after = reference.at_most / m, current.at_most / n
        atoms = (reference.at_most - reference.below) / m
        distance = float(np.abs(after - before).max())
        by_chance = smirnov(max(0.0, distance - _ALIKE), m, n) > 0.01
    else:
        before = np.append(reference.counts, 0) / m
        after = np.append(current.counts, current.unseen_rows) / n
        atoms, distance = before, float(np.abs(after - before).sum() / 2)
        by_chance = distance <= _ALIKE + 0.5 * float(np.sqrt(len(before) * (1 / n + 1 / m)))
    if not by_chance or distance > 0.25 or atoms.max() > _TELLING:
        return None
    return distance


def _common(a: str, b: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, a.lower(), b.lower()).ratio()
