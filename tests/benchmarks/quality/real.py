"""CIC-IDS2017 flows: held-out traffic, and attacks that the reference has never seen.

The folder with the samples is named by DRIFTCATCHER_TEST_DATA, or lies beside the repository in shared/data.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from detectors import check
from detectors.source import read_frame
from tests.benchmarks.quality.champions import trained
from tests.benchmarks.quality.harm import said, trial
from tests.benchmarks.quality.judges import Judge, Trial
from trainers.base import LabelSpec
from trainers.schema import learn_schema, typed_features

FOLDER = (
    Path(os.environ.get("DRIFTCATCHER_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    / "cicids2017"
)
NOT_FEATURES = (
    "id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Timestamp", "Attempted Category", "Label",
)  # fmt: skip
ATTACKS = ("portscan", "dos_slowloris")
SHARES = (0.1, 0.3)


@lru_cache(maxsize=4)
def flows(name: str) -> pd.DataFrame:
    return read_frame(FOLDER / f"{name}.csv.gz")


def _features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=[name for name in NOT_FEATURES if name in frame.columns]).reset_index(drop=True)


def _split(random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = pd.concat([flows("benign"), flows("ddos")], ignore_index=True)
    train = random.random(len(known)) < 0.7
    return known[train], known[~train]


def mixed(
    rest: pd.DataFrame, other: pd.DataFrame, share: float, rows: int, random: np.random.Generator
) -> pd.DataFrame:
    """A batch of known rows, of which a share is of another kind."""
    many = round(share * rows)
    parts = [rest.sample(rows - many, random_state=random), other.sample(many, random_state=random)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def real_chunk(judge: Judge, rows: int, batches: int, seed: int) -> list[Trial]:
    """One split into reference and rest: batches of the rest, and, for every fifth, with new attacks among them."""
    random = np.random.default_rng([seed, rows, 3])
    reference, rest = _split(random)
    rows = min(rows, len(rest))
    plan: list[tuple[str, pd.DataFrame]] = [
        ("held-out flows", rest.sample(rows, random_state=random)) for _ in range(batches)
    ]
    for attack in ATTACKS:
        for share in SHARES:
            for _ in range(max(1, batches // 5)):
                plan.append((f"{attack}, {share:.0%}", mixed(rest, flows(attack), share, rows, random)))
    said_of = judge.judge(_features(reference), [_features(frame) for _, frame in plan])
    features = len(_features(reference).columns)
    return [
        Trial("real data", name, features, rows, name != "held-out flows", judgement, seed=seed)
        for (name, _), judgement in zip(plan, said_of, strict=True)
    ]


def real_harm_chunk(rows: int, batches: int, seed: int) -> list[Trial]:
    """A champion of known flows; what new attacks cost it is counted from their labels."""
    random = np.random.default_rng([seed, rows, 4])
    known = pd.concat([flows("benign"), flows("ddos")], ignore_index=True)
    known, rest = (part.reset_index(drop=True) for part in _halves(known, random))
    spec = LabelSpec("Label", negative=("BENIGN",), ignore=tuple(n for n in NOT_FEATURES if n != "Label"))
    schema, _ = learn_schema([known], spec)
    typed = typed_features(known, schema, "flows", [])
    model, baseline = trained(typed, _is_attack(known), random.random(len(known)) < 0.3, schema)

    def predict(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(model.predict(frame)), np.asarray(model.predict_proba(frame))[:, 1]

    def accuracy(frame: pd.DataFrame) -> float:
        return float((predict(typed_features(frame, schema, "batch", []))[0] == _is_attack(frame)).mean())

    before, trials = accuracy(rest), []
    for attack in (None, *ATTACKS):
        for share in SHARES if attack else (0.0,):
            for _ in range(batches):
                batch = (
                    rest.sample(rows, random_state=random).reset_index(drop=True)
                    if attack is None
                    else mixed(rest, flows(attack), share, rows, random)
                )
                started = time.perf_counter()
                report = check(
                    baseline, batch.drop(columns=list(NOT_FEATURES), errors="ignore"), champion=predict
                )
                seconds, right = time.perf_counter() - started, accuracy(batch)
                facts = {
                    "family": "real",
                    "loss": before - right,
                    "expected_accuracy": right,
                    **said(report, right),
                }
                name = f"CIC-IDS2017, {f'{attack} {share:.0%}' if attack else 'held-out flows'}"
                trials.append(trial(name, rows, report, seconds, facts, seed, len(schema.features)))
    return trials


def _halves(frame: pd.DataFrame, random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    first = random.random(len(frame)) < 0.7
    return frame[first], frame[~first]


def _is_attack(frame: pd.DataFrame) -> np.ndarray:
    return (frame["Label"] != "BENIGN").to_numpy().astype(np.int64)
