"""The made-up traffic: consistent rows, and a story that a real model and a real drift score can tell."""

from __future__ import annotations

import hashlib
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from bot.demo.traffic import BASE_MIX, IDENTIFIERS, LABEL_COLUMN, LABELS, NEW_MIX, DemoFiles, flows, mix
from bot.demo.traffic import write_demo_files as write

SEED = 7
kinds = st.sampled_from(sorted(LABELS))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return write(tmp_path_factory.mktemp("demo") / "data", SEED)


def features_of(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[c for c in (*IDENTIFIERS, LABEL_COLUMN) if c in table])


def attacks(table: pd.DataFrame) -> Any:
    return (table[LABEL_COLUMN] != "BENIGN").to_numpy()


def digests(files: DemoFiles) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in astuple(files)]


@given(kind=kinds, rows=st.integers(0, 60), seed=st.integers(0, 2**32), day=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_each_row_agrees_with_itself(kind: Any, rows: int, seed: int, day: int) -> None:
    t = flows(kind, rows, seed, day)
    seconds, packets = t["Flow Duration"] / 1e6, t["Total Fwd Packet"] + t["Total Bwd packets"]
    octets = t["Total Length of Fwd Packet"] + t["Total Length of Bwd Packet"]

    assert len(t) == rows
    assert (t[LABEL_COLUMN] == LABELS[kind]).all()
    assert t["Flow Duration"].between(1, 120e6).all()
    assert (packets >= 2).all()
    assert np.allclose(t["Flow Bytes/s"] * seconds, octets, rtol=1e-6, atol=1e-3)
    assert np.allclose(t["Flow Packets/s"] * seconds, packets, rtol=1e-6, atol=1e-3)
    assert np.allclose(t["Flow IAT Mean"] * (packets - 1), t["Flow Duration"], rtol=1e-6, atol=1)
    assert np.allclose(
        t["Fwd Packet Length Mean"] * t["Total Fwd Packet"], t["Total Length of Fwd Packet"], atol=1e-2
    )
    assert np.allclose(t["Down/Up Ratio"] * t["Total Fwd Packet"], t["Total Bwd packets"], atol=1e-2)
    assert (t["Flow IAT Max"] <= t["Flow Duration"]).all()
    assert (t["Fwd Packet Length Max"] <= 1460).all()
    datagrams = t[t["Protocol"] == 17]
    assert (datagrams.filter(regex="Flag Count|Win Bytes") == 0).all(axis=None)
    assert np.isfinite(features_of(t).to_numpy(dtype=float)).all()


@pytest.mark.parametrize("kind", sorted(LABELS))
def test_the_seed_and_the_day_fix_the_rows(kind: Any) -> None:
    first = flows(kind, 50, 3, day=2)
    pd.testing.assert_frame_equal(first, flows(kind, 50, 3, day=2))
    assert not first.equals(flows(kind, 50, 4, day=2))
    assert first["Timestamp"].str.startswith("2026-03-04").all()


@given(
    shares=st.dictionaries(kinds, st.floats(0.01, 1), min_size=1),
    rows=st.integers(0, 80),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_a_mix_has_the_asked_shares_and_rows(shares: Any, rows: int, seed: int) -> None:
    table = mix(shares, rows, seed)

    assert len(table) == rows
    for kind, share in shares.items():
        expected = share / sum(shares.values()) * rows
        assert abs((table[LABEL_COLUMN] == LABELS[kind]).sum() - expected) <= 1 + 1e-9


def test_a_mix_is_shuffled_and_may_be_unlabelled() -> None:
    table = mix(BASE_MIX, 400, 1)
    assert (table[LABEL_COLUMN] != table[LABEL_COLUMN].shift()).sum() > 100
    assert LABEL_COLUMN not in mix(BASE_MIX, 10, 1, labelled=False)


@pytest.mark.parametrize("shares", [{}, {"benign": 0.0}, {"benign": 1.0, "ddos": -0.1}])
def test_impossible_shares_are_refused(shares: Any) -> None:
    with pytest.raises(ValueError, match="shares must be 0 or more"):
        mix(shares, 10, 1)


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'worm'.*benign, ddos, portscan, slowloris"):
        flows("worm", 10, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rows must be 0 or more"):
        flows("ddos", -1, 1)


def test_the_same_seed_writes_the_same_bytes(files: DemoFiles, tmp_path: Path) -> None:
    assert digests(write(tmp_path / "again", SEED)) == digests(files)
    assert digests(write(tmp_path / "other", SEED + 1)) != digests(files)


def test_the_files_hold_what_the_story_needs(files: DemoFiles) -> None:
    base, stable, drifted, new = (pd.read_csv(path) for path in astuple(files))

    assert set(base[LABEL_COLUMN]) == {"BENIGN", "DDoS"}
    assert set(new[LABEL_COLUMN]) == {"BENIGN", "DDoS", "PortScan", "Slowloris"}
    assert LABEL_COLUMN not in stable and LABEL_COLUMN not in drifted
    assert (len(base), len(stable), len(drifted), len(new)) == (8000, 1500, 2000, 800)
    names = [set(t["Flow ID"] + t["Timestamp"]) for t in (base, stable, drifted, new)]
    assert names[3] <= names[2]
    assert names[0].isdisjoint(names[1] | names[2])


@pytest.mark.parametrize("seed", [SEED, 42, 2026])
def test_a_model_fails_on_the_new_attacks_and_learns_them_without_losing_the_old(
    seed: int, tmp_path: Path
) -> None:
    files = write(tmp_path, seed)
    base, new = pd.read_csv(files.base), pd.read_csv(files.new_labelled)
    known, held_out, learned, new_held_out = base[:5600], base[5600:], new[:560], new[560:]
    champion = HistGradientBoostingClassifier(random_state=0).fit(features_of(known), attacks(known))
    both = pd.concat([known, learned])
    challenger = HistGradientBoostingClassifier(random_state=0).fit(features_of(both), attacks(both))

    def recall(model: Any, table: pd.DataFrame, label: str) -> float:
        return float(model.predict(features_of(table[table[LABEL_COLUMN] == label])).mean())

    accuracy = champion.score(features_of(held_out), attacks(held_out))
    assert 0.97 <= accuracy <= 0.995
    assert challenger.score(features_of(held_out), attacks(held_out)) > accuracy - 0.01
    assert recall(challenger, held_out, "DDoS") > recall(champion, held_out, "DDoS") - 0.01
    assert challenger.score(features_of(new_held_out), attacks(new_held_out)) > 0.95
    fresh = mix(NEW_MIX, 2000, seed + 1)
    for label in ("PortScan", "Slowloris"):
        assert recall(champion, fresh, label) < 0.5
        assert recall(challenger, fresh, label) > 0.95


def psi(reference: Any, current: Any) -> float:
    """Population stability index over the reference's deciles, half a count in each empty cell."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)[1:-1]))
    shares = []
    for values in (reference, current):
        counts = np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


@pytest.mark.parametrize("seed", [SEED, 42, 2026])
def test_the_stable_batch_is_clean_and_the_drifted_one_is_not(seed: int, tmp_path: Path) -> None:
    files = write(tmp_path, seed)
    base, stable, drifted = (features_of(pd.read_csv(p)) for p in (files.base, files.stable, files.drifted))

    assert max(psi(base[c], stable[c]) for c in base) < 0.05
    scores = [psi(base[c], drifted[c]) for c in base]
    assert sum(score > 0.2 for score in scores) >= len(scores) / 3
    assert np.mean(scores) > 0.2
