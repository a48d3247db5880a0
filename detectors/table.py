"""The reference's rows as codes, for what looks at many features together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.base import TableDetector
from detectors.codes import CodedRows, coded
from detectors.columns import series_categories, series_numbers
from detectors.correlation import Correlation
from detectors.domain_classifier import (
    LEAST_ROWS,
    MOST_CURRENT,
    MOST_REFERENCE,
    PERIOD_ROWS,
    DomainClassifier,
)
from detectors.profile import FeatureProfile

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 0.002  # at which a period differs from the others
_SEED = 0
_PERIOD_ROWS = 40_000


def reference_rows(
    parts: Sequence[FeatureProfile], frame: pd.DataFrame, windows: Sequence[np.ndarray] = ()
) -> CodedRows:
    """A random sample of at most 4,000 rows, and how far the reference's periods differ as a whole.

    Args:
        parts: profiles of the features.
        frame: rows with all of them.
        windows: row numbers of each period, where a period column was named.
    """
    random = np.random.default_rng(_SEED)
    chosen = random.choice(len(frame), min(MOST_REFERENCE, len(frame)), replace=False)
    table = coded_frame(parts, frame.iloc[chosen])
    if len(windows) < 2:
        return table
    return replace(table, variation=_variation(parts, frame, windows, random))


def coded_frame(parts: Sequence[FeatureProfile], frame: pd.DataFrame) -> CodedRows:
    """The rows of a frame, coded by the profiles."""
    numeric = {part.name for part in parts if part.kind == "numeric"}

    def column(name: str) -> np.ndarray:
        values: np.ndarray = (
            series_numbers(frame[name])[0] if name in numeric else series_categories(frame[name])
        )
        return values

    return coded(parts, column, len(frame))


def _variation(
    parts: Sequence[FeatureProfile],
    frame: pd.DataFrame,
    windows: Sequence[np.ndarray],
    random: np.random.Generator,
) -> dict[str, float]:
    """The largest statistic of each whole-table detector between a period and the others.

    That of the domain classifier where it is no chance, and of how many rows it is, since more rows are told apart
    better; that of the rank correlation always, since each batch is another draw of the same pairs: within a phase of a
    weak season they go together otherwise, too little to show in one period.
    """
    kept = random.permutation(np.concatenate(list(windows)))[:_PERIOD_ROWS]
    codes = coded_frame(parts, frame.iloc[kept])
    inside = [np.isin(kept, window) for window in windows]
    detectors: tuple[TableDetector, ...] = (DomainClassifier(), Correlation(deals=999))
    most: dict[str, float] = {}
    for mask in inside:
        period = replace(codes, codes=codes.codes[mask][:MOST_CURRENT])
        rest = replace(codes, codes=codes.codes[~mask][:MOST_REFERENCE])
        if min(period.rows, rest.rows) < LEAST_ROWS:
            continue
        for detector in detectors:
            score = detector.score_table(rest, period)
            if score is None or score.p_value is None:
                continue
            # a period of some hundred rows cannot tell a change that matters from chance: it counts all the same
            if score.p_value <= _ALPHA or isinstance(detector, Correlation):
                most[detector.name] = max(most.get(detector.name, 0.0), score.statistic)
    if DomainClassifier().name in most:
        sizes = [min(MOST_CURRENT, int(mask.sum())) for mask in inside]
        most[PERIOD_ROWS] = float(np.median([size for size in sizes if size >= LEAST_ROWS]))
    return most
