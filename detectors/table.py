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
from detectors.domain_classifier import LEAST_ROWS, MOST_CURRENT, MOST_REFERENCE, DomainClassifier
from detectors.profile import FeatureProfile
from detectors.variation import twice_as_far

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
    """What each whole-table detector finds natural between a period and the others.

    For the domain classifier, that of a period twice as far out as the farthest which is no chance; for the rank
    correlation, the largest of all, since each batch is another draw of the same pairs: within a phase of a weak season
    they go together otherwise, too little to show in one period.
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
    if (own := DomainClassifier().name) in most:  # AUC - 1/2, of which there is a half at most
        most[own] = twice_as_far(own, 2 * most[own]) / 2
    return most
