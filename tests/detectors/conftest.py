"""Shared tables of the detector tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

Draw = Callable[..., pd.DataFrame]


@pytest.fixture
def draw() -> Draw:
    """Draws a table of 12 features of several kinds; the same seed gives the same rows."""

    def table(rows: int, seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        words = np.array(["tcp", "udp", "icmp", "sctp"], dtype=object)
        frame = pd.DataFrame({f"n{i}": rng.normal(i, 1 + i, rows) for i in range(5)})
        frame["heavy"] = rng.standard_t(2, rows)
        frame["zeros"] = np.where(rng.random(rows) < 0.7, 0.0, rng.lognormal(3, 1, rows))
        frame["count"] = rng.poisson(3, rows)
        frame["gaps"] = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(0, 1, rows))
        frame["constant"] = 7
        frame["flag"] = rng.random(rows) < 0.3
        frame["protocol"] = rng.choice(words, rows, p=[0.6, 0.3, 0.08, 0.02])
        return frame

    return table
