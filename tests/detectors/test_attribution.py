"""Which features are to blame: contribution, what moves together, and where it happens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Baseline
from detectors.attribution import causes, contributions
from detectors.report import Cause
from detectors.table import coded_frame


def test_contribution_is_drift_times_importance():
    shares = contributions({"a": 2.0, "b": 1.0}, {"a": 0.2, "b": 0.6, "c": 0.2})
    floor = 0.1 / 3  # a tenth of the average
    a, b = 2 * (0.2 + floor), 1 * (0.6 + floor)
    assert shares == pytest.approx({"a": a / (a + b), "b": b / (a + b)})


def test_without_importance_all_features_count_alike():
    assert contributions({"a": 3.0, "b": 1.0}, {}) == pytest.approx({"a": 0.75, "b": 0.25})


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 50), min_size=1))
def test_contributions_are_shares(effects):
    shares = contributions(effects, dict.fromkeys("abcdef", 1 / 6))
    assert sum(shares.values()) == pytest.approx(1) and min(shares.values()) > 0


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=rows)
    protocol = rng.choice(["tcp", "udp", "icmp"], rows, p=[0.6, 0.3, 0.1])
    return pd.DataFrame(
        {
            "bytes": base,
            "packets": base + rng.normal(0, 0.2, rows),  # goes with bytes
            "other": rng.normal(size=rows),
            "protocol": protocol,
        }
    )


def found(batch: pd.DataFrame, shares: dict[str, float]) -> tuple[Cause, ...]:
    reference = table(8000, 1)
    baseline = Baseline.fit(reference)
    parts = list(baseline.features.values())
    return causes(shares, baseline.features, coded_frame(parts, reference), coded_frame(parts, batch))


def test_features_that_move_together_are_one_cause():
    batch = table(2000, 2).assign(other=lambda f: f["other"] + 1)
    batch[["bytes", "packets"]] += 1
    groups = found(batch, {"bytes": 0.4, "packets": 0.35, "other": 0.25})
    assert [c.features for c in groups] == [("bytes", "packets"), ("other",)]
    assert groups[0].contribution == pytest.approx(0.75)
    assert sum(c.contribution for c in groups) == pytest.approx(1)


def test_the_segment_where_it_happens_is_named():
    batch = table(3000, 3)
    udp = batch["protocol"] == "udp"
    batch.loc[udp, "other"] += 3
    cause = found(batch, {"other": 1.0})[0]
    assert cause.segment == 'protocol = "udp"'
    assert cause.segment_share == pytest.approx(udp.mean(), abs=0.01)


def test_a_drift_that_is_everywhere_has_no_segment():
    cause = found(table(3000, 4).assign(other=lambda f: f["other"] + 2), {"other": 1.0})[0]
    assert cause.segment == "" and cause.segment_share == 0.0
