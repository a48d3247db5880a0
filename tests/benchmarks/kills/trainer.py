"""A trainer that waits in the middle, so that something can happen to it there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.sklearn_trainers import HistGradientBoosting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Waiting:
    """Writes `gate`.reached when it is asked to fit, and fits once there is no file `gate` (any more)."""

    gate: str
    name: str = "waiting"

    def params(self) -> Mapping[str, Any]:
        return {"gate": self.gate}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        gate = Path(self.gate)
        gate.with_suffix(".reached").touch()
        while gate.exists():
            time.sleep(0.02)
        return HistGradientBoosting(max_iter=5).fit(features, labels, categorical)
