"""Natural variation: how far the periods of the reference differ from each other, where such are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.base import Detector
from detectors.chi_square import ChiSquare
from detectors.columns import series_categories, series_numbers
from detectors.jensen_shannon import JensenShannon
from detectors.ks import KS
from detectors.missing_share import MissingShare
from detectors.out_of_range import OutOfRange
from detectors.profile import FeatureProfile
from detectors.psi import OUTSIDE, PSI, inside_and_outside
from detectors.unseen_category import UnseenCategory
from detectors.wasserstein import Wasserstein

if TYPE_CHECKING:
    import pandas as pd

_WINDOWS = 20
_ALPHA = 0.001
_LEAST = 1e-300  # p that has a logarithm
_RARE = ("missing_share", "unseen_category", "out_of_range")  # say nothing of the distribution as a whole
_MOST = 3.0  # PSI of regimes that have next to nothing in common: no variation but other data
_ALL: tuple[Detector, ...] = (
    *(PSI(), KS(), ChiSquare(), JensenShannon(), Wasserstein()),
    *(MissingShare(), UnseenCategory(), OutOfRange()),
)


def with_variation(
    frame: pd.DataFrame, period: str, features: Mapping[str, FeatureProfile]
) -> dict[str, FeatureProfile]:
    """Each feature with the effect of a window twice as far from the rest of the reference as the farthest.

    Windows are the periods themselves where there are at most 20, else 20 equal runs of rows in their order. They count
    where one of them differs at p <= 0.001, or all together do: a weak season may be too small for each to show it. No
    floor is above 3, which a period with a PSI of 0.75 reaches: beyond that the data are others, not farther out.
    """
    spans = windows(frame[period])
    return {name: _floored(frame[name], part, spans) for name, part in features.items()}


def _floored(column: pd.Series, whole: FeatureProfile, spans: list[np.ndarray]) -> FeatureProfile:
    values: np.ndarray = series_numbers(column)[0] if whole.kind == "numeric" else series_categories(column)
    return replace(whole, variation=variation_of(values, whole, spans))


def variation_of(values: np.ndarray, whole: FeatureProfile, spans: list[np.ndarray]) -> dict[str, float]:
    """Built-in detector -> effect of a window twice as far from the rest as the farthest; `values` of shape (rows,)
    were summarized in `whole`, and `spans` are the row numbers of each window."""
    if len(spans) < 2:
        return {}
    found: dict[str, list[tuple[float, float]]] = {detector.name: [] for detector in _ALL}
    divided: list[tuple[float, float]] = []
    parts = [whole.summarize(values[span]) for span in spans]
    for i, part in enumerate(parts):
        rest = reduce(FeatureProfile.merge, parts[:i] + parts[i + 1 :])
        strangers = _as_strangers(rest, part, values[spans[i]])
        divided.append(inside_and_outside(rest, part))
        for detector in _ALL:
            own = detector.name in _RARE
            if (one := _tested(detector, *(strangers if own else (rest, part)))) is not None:
                found[detector.name].append(one)
    together = _together([p for p, _ in found["ks" if whole.kind == "numeric" else "chi_square"]])
    floors: dict[str, float] = {}
    for name, some in found.items():
        p = min((p for p, _ in some), default=1.0)
        effect = max((effect for _, effect in some), default=0.0)
        if effect and min(p, 1.0 if name in _RARE else together) <= _ALPHA:
            floors[name] = min(_MOST, twice_as_far(name, effect))
    if "psi" in floors:
        inside, outside = np.max(divided, axis=0)
        floors["psi"] = min(_MOST, twice_as_far("psi", float(inside)))
        floors[OUTSIDE] = min(_MOST, twice_as_far(OUTSIDE, float(outside)))
    return floors


def _together(p_values: list[float]) -> float:
    """p of all tests as one; 1 where there are none.

    References: Fisher, Statistical Methods for Research Workers, 4th ed. (1932), section 21.1.
    """
    from scipy.special import chdtrc

    if not p_values:
        return 1.0
    return float(chdtrc(2 * len(p_values), -2 * sum(math.log(max(p, _LEAST)) for p in p_values)))


def twice_as_far(name: str, effect: float) -> float:
    """The effect of a period that lies twice as far out.

    One that is drawn anew lies beyond each of 20 others once in 21 times, feature by feature, and twice as far once in
    1,500 where they vary normally (of 4 others, once in 25). PSI within the range grows with the square of a small
    shift, outside of it and for Wasserstein with the rows or the distance, and what lies between 0 and 1 like
    1 - (1 - effect)^2: twice what is small, and never more than all.

    Examples:
        >>> twice_as_far("psi", 0.25), twice_as_far("wasserstein", 0.25), twice_as_far("ks", 0.25)
        (1.0, 0.5, 0.4375)
    """
    return _TWICE[name](effect)


def _share(effect: float) -> float:
    return effect * (2 - effect)


_TWICE: Mapping[str, Callable[[float], float]] = {
    **dict.fromkeys(("ks", "chi_square", "jensen_shannon", *_RARE), _share),
    **dict.fromkeys(("wasserstein", OUTSIDE), lambda effect: 2 * effect),
    "psi": lambda effect: 4 * effect,
}


def _tested(detector: Detector, rest: FeatureProfile, part: FeatureProfile) -> tuple[float, float] | None:
    """p and effect; None where there is none."""
    if isinstance(detector, Wasserstein):  # whose own p is simulated: that of KS costs nothing
        test, measured = KS().score(rest, part), detector.measure(rest, part)
        effect = measured[1] if measured else 0.0
    else:
        test = detector.score(rest, part)
        effect = 0.0 if test is None else test.statistic if test.effect is None else test.effect
    return None if test is None or test.p_value is None else (test.p_value, effect)


def _as_strangers(
    rest: FeatureProfile, part: FeatureProfile, values: np.ndarray
) -> tuple[FeatureProfile, FeatureProfile]:
    """The same as if only the rest had been learned from: `rest` knows the categories and the range of both."""
    if rest.kind == "categorical":
        held = rest.counts > 0
        known = tuple(word for word, has in zip(rest.known, held, strict=True) if has)
        new = {w: int(k) for w, k, has in zip(part.known, part.counts, held, strict=True) if k and not has}
        return (
            replace(rest, known=known, counts=rest.counts[held]),
            replace(part, known=known, counts=part.counts[held], unseen=new, unseen_rows=sum(new.values())),
        )
    if not rest.finite:
        return rest, part
    ends = np.array([rest.minimum, rest.maximum])
    under = int(rest.below[0])  # negative infinities
    over = rest.filled - int(rest.at_most[-1])
    inside = replace(
        rest,
        grid=ends,
        edges=ends[1:],
        below=np.array([under, under]),
        at_most=np.array([under, rest.filled - over]),
    )
    return inside, inside.summarize(values)


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
