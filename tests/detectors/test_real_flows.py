"""CIC-IDS2017 flows: no alarm without drift, an alarm on attacks the reference never saw.

The folder with the samples is named by DRIFTCATCHER_TEST_DATA, or lies beside the repository in shared/data.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, Policy, check
from detectors.batch_profile import profile_batch
from detectors.feed import find_faults
from detectors.ks import KS
from detectors.psi import PSI
from detectors.source import read_frame

FOLDER = (
    Path(os.environ.get("DRIFTCATCHER_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    / "cicids2017"
)
NOT_FEATURES = [
    "id",
    "Flow ID",
    "Src IP",
    "Src Port",
    "Dst IP",
    "Dst Port",
    "Timestamp",
    "Attempted Category",
]
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no CIC-IDS2017 samples at {FOLDER}")


@pytest.fixture(scope="module")
def known() -> tuple[Baseline, pd.DataFrame]:
    """A baseline of 70 % of benign and DDoS flows, and the other flows."""
    flows = read_frame([FOLDER / "benign.csv.gz", FOLDER / "ddos.csv.gz"])
    train = np.random.default_rng(0).random(len(flows)) < 0.7
    return Baseline.fit(flows[train], label="Label", ignore=NOT_FEATURES, version="1"), flows[~train]


def test_the_held_out_flows_are_stable(known):
    baseline, rest = known
    report = check(baseline, rest, detectors=(PSI(), KS()))
    assert (report.verdict, report.errors, report.notes) == ("stable", (), ())


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_no_false_alarms_at_any_size(known, rows):
    baseline, rest = known
    verdicts = [check(baseline, rest.sample(rows, random_state=k)).verdict for k in range(20)]
    assert sum(v in ("drift", "warning", "broken_feed") for v in verdicts) <= 1


def test_half_a_port_scan_is_drift(known, tmp_path):
    baseline, rest = known
    scan = read_frame(FOLDER / "portscan.csv.gz")
    batch = pd.concat([rest.sample(1000, random_state=1), scan.sample(1000, random_state=1)])
    batch.to_csv(tmp_path / "batch.csv", index=False)
    report = check(baseline, tmp_path / "batch.csv")
    assert (report.verdict, report.recommendation) == ("drift", "label")
    assert check(baseline, batch, labelled_rows=500).recommendation == "retrain"
    classic = check(baseline, batch, policy=Policy(kind="classic"))
    assert classic.overall_psi > 0.2 and (classic.verdict, classic.recommendation) == ("drift", "retrain")


def test_slow_loris_is_drift_straight_from_its_file(known):
    assert check(known[0], FOLDER / "dos_slowloris.csv.gz").verdict == "drift"


@pytest.mark.parametrize("attack", ["portscan", "ddos", "dos_slowloris"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_attacks_are_no_broken_feed(known, attack, share):
    baseline, rest = known
    flows = read_frame(FOLDER / f"{attack}.csv.gz")
    for k in range(4):
        n = (200, 1000)[k % 2]
        parts = (
            flows.sample(int(n * share), random_state=k),
            rest.sample(n - int(n * share), random_state=k),
        )
        assert find_faults(baseline, profile_batch(baseline, pd.concat(parts)), Policy()) == ()


def test_held_out_flows_are_no_broken_feed(known):
    baseline, rest = known
    for k in range(30):
        batch = rest.sample((50, 200, 1000)[k % 3], random_state=k)
        assert find_faults(baseline, profile_batch(baseline, batch), Policy()) == ()


def test_a_unit_change_of_real_flows_is_a_broken_feed(known):
    baseline, rest = known
    report = check(
        baseline,
        rest.sample(500, random_state=1).assign(**{"Flow Duration": lambda f: f["Flow Duration"] / 1000}),
    )
    said = '"Flow Duration": values are 1/1,000 of what they were: milliseconds → seconds?'
    assert (report.verdict, report.errors) == ("broken_feed", (said,))
