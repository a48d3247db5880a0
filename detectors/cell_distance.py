"""What distances between cell shares have in common: size correction, p, natural variation, rows needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.describe import describe
from detectors.pooled import pooled_cells
from detectors.profile import FeatureProfile
from detectors.significance import batch_rows, beyond_variation, homogeneity


@dataclass(frozen=True, slots=True)
class CellDistance:
    """A distance whose square is about chi-squared(d)/`per_unit` without drift, d = occupied cells - 1.

    Attributes:
        of: the distance of two rows of counts.
        per_unit: what turns its square, divided by 1/n + 1/m, into a chi-squared variable.
    """

    of: Callable[[np.ndarray, np.ndarray], float]
    per_unit: float

    def score(self, name: str, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """Distance, size-corrected distance and p; `name` finds the natural variation. None without rows."""
        m, n = reference.rows, current.rows
        if not m or not n:
            return None
        before, after = reference.cells, current.cells
        statistic = self.of(before, after)
        per_row = (1 / m + 1 / n) / self.per_unit
        freedom = max(0, int(((before + after) > 0).sum()) - 1)
        effect = math.sqrt(max(0.0, statistic**2 - freedom * per_row))
        p = homogeneity(*pooled_cells(reference, current))
        p = 1.0 if p is None else p
        floor = reference.variation.get(name, 0.0)
        if floor and effect <= floor:
            p = 1.0
        elif floor:
            p = max(p, beyond_variation(statistic**2 / per_row, freedom, floor**2 / per_row))
        return Score(statistic, p, effect, describe(reference, current))

    def rows_needed(self, effect: float, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for this effect to reach p <= alpha; None if the reference is too small."""
        from scipy.special import chdtri

        freedom = max(1, int((reference.cells > 0).sum()) - 1)
        distance = max(0.0, float(chdtri(freedom, alpha)) - freedom)
        return batch_rows(distance / self.per_unit / effect**2, reference.rows) if effect else None
