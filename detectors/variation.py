"""Natural variation: how far the periods of the reference differ from each other, where such are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.columns import series_categories, series_numbers
from detectors.ks import KS
from detectors.profile import FeatureProfile
from detectors.psi import PSI

if TYPE_CHECKING:
    import pandas as pd

_WINDOWS = 20
_ALPHA = 0.001
_MOST = 3.0  # PSI of regimes that have next to nothing in common: no variation but other data


def with_variation(
    frame: pd.DataFrame, period: str, features: Mapping[str, FeatureProfile]
) -> dict[str, FeatureProfile]:
    """Each feature with the largest effect that a window of the reference has against the rest of it.

    Windows are the periods themselves where there are at most 20, else 20 equal runs of rows in their order.
    Only windows that differ at p <= 0.001 count, and no floor is above 3: heavy tails and spikes go up to 2.
    """
    spans = windows(frame[period])
    return {name: _floored(frame[name], part, spans) for name, part in features.items()}


def _floored(column: pd.Series, whole: FeatureProfile, spans: list[np.ndarray]) -> FeatureProfile:
    values: np.ndarray = series_numbers(column)[0] if whole.kind == "numeric" else series_categories(column)
    return replace(whole, variation=variation_of(values, whole, spans))


def variation_of(values: np.ndarray, whole: FeatureProfile, spans: list[np.ndarray]) -> dict[str, float]:
    """Detector name -> largest effect of a window against the rest; `values` of shape (rows,) were summarized in
    `whole`, and `spans` are the row numbers of each window."""
    parts = [whole.summarize(values[span]) for span in spans]
    floors: dict[str, float] = {}
    for detector in (PSI(), KS()):
        for i, part in enumerate(parts):
            others = [p for k, p in enumerate(parts) if k != i]
            if not others:
                continue
            rest = others[0]
            for other in others[1:]:
                rest = rest.merge(other)
            score = detector.score(rest, part)
            if score is not None and score.p_value is not None and score.p_value <= _ALPHA:
                effect = score.statistic if score.effect is None else score.effect
                floors[detector.name] = min(_MOST, max(floors.get(detector.name, 0.0), effect))
    return floors


def windows(column: pd.Series) -> list[np.ndarray]:
    """Row numbers of each window."""
    import pandas as pd

    keys: Any = column
    if not (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype)
    ):
        dates = pd.to_datetime(column, errors="coerce", format="mixed")
        # "week 10" comes after "week 9"
        words = column.astype(str).str.replace(r"\d+", lambda number: number[0].zfill(20), regex=True)
        keys = dates if dates.notna().mean() > 0.9 else words
    codes, uniques = pd.factorize(keys, sort=True)
    if len(uniques) <= _WINDOWS:
        return [np.flatnonzero(codes == k) for k in range(len(uniques))]
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    return np.array_split(order, _WINDOWS)
