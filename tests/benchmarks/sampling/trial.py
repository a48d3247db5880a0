"""One trial: a champion of the old regime, a batch of the new one, and what 300 labels of each strategy are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from detectors import Baseline
from detectors.table import coded_frame
from detectors.weighted import evaluate_weighted
from tests.benchmarks.sampling.regimes import HELD, LABEL, Regime
from trainers.sampling import MIXES, Arm, draw, groups, rare, strange, strangeness, unsure
from trainers.schema import learn_schema, typed_features
from trainers.sklearn_trainers import HistGradientBoosting

LABELS = 300
Mix = Mapping[Arm, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one strategy came to with one seed.

    Attributes:
        new / old: accuracy after the retrain on the hold-out of the new and of the old regime.
        truth: accuracy of the champion on the whole batch.
        weighted / unweighted: the same read off the labelled rows, with and without weights.
        covered: whether the 95 % interval holds the truth.
        found: rows of the new kind among those labelled.
    """

    regime: str
    strategy: str
    seed: int
    new: float
    old: float
    truth: float
    weighted: float
    unweighted: float
    covered: bool
    found: int


def trial(regime: Regime, mixes: Mapping[str, Mix], seed: int, labels: int = LABELS) -> list[Outcome]:
    """Draw, label, retrain on old + new, and measure, once for each mix on the same rows."""
    known, other = _shuffled(regime.known, seed), _shuffled(regime.other, seed)
    train, held_old, rest = _cut(known, regime.train, HELD)
    several = round(regime.share * HELD)
    held_new = pd.concat([other[:several], rest[: HELD - several]], ignore_index=True)
    other, rest = other[several:], rest[HELD - several :]
    many = round(regime.share * regime.batch)
    batch = pd.concat([other[:many], rest[: regime.batch - many]], ignore_index=True)
    novel = np.arange(len(batch)) < min(many, len(other))
    order = np.random.default_rng([seed, 2]).permutation(len(batch))
    batch, novel = batch.iloc[order].reset_index(drop=True), novel[order]

    schema, _ = learn_schema([train], regime.spec)

    def typed(frame: pd.DataFrame) -> pd.DataFrame:
        return typed_features(frame, schema, "rows", [])

    def fit(frame: pd.DataFrame) -> Any:
        return HistGradientBoosting().fit(typed(frame), frame[LABEL].to_numpy(), schema.categorical)

    def accuracy(model: Any, frame: pd.DataFrame) -> float:
        return float((model.predict(typed(frame)) == frame[LABEL].to_numpy()).mean())

    champion = fit(train)
    baseline = Baseline.fit(typed(train), categorical=schema.categorical)
    said, chance = champion.predict(typed(batch)), champion.predict_proba(typed(batch))[:, 1]
    label = batch[LABEL].to_numpy()
    arms = _arms(baseline, typed(batch), chance, labels)
    before = {"new": accuracy(champion, held_new), "old": accuracy(champion, held_old)}
    outcomes = [Outcome(regime.name, "champion", seed, before["new"], before["old"], 0, 0, 0, True, 0)]
    for name, mix in mixes.items():
        needed = {arm: size for arm, size in arms.items() if arm in mix}
        random = np.random.default_rng([seed, 1])
        drawn = draw(needed, mix, labels, random, spread=name in ("hybrid", "time"), rows=len(batch))
        challenger = fit(pd.concat([train, batch.iloc[drawn.at]], ignore_index=True))
        measured = evaluate_weighted(label[drawn.at], said[drawn.at], None, 1 / drawn.chance)
        truth, interval = float((label == said).mean()), measured.intervals["accuracy"]
        outcomes.append(
            Outcome(
                regime.name, name, seed, accuracy(challenger, held_new), accuracy(challenger, held_old),
                truth, float(measured.metrics.accuracy or 0.0), measured.unweighted,
                interval.low <= truth <= interval.high, int(novel[drawn.at].sum()),
            )
        )  # fmt: skip
    return outcomes


def _arms(baseline: Baseline, rows: pd.DataFrame, chance: np.ndarray, labels: int) -> dict[Arm, np.ndarray]:
    codes = coded_frame(list(baseline.features.values()), rows)
    odd = strangeness(baseline.table, codes)
    assert odd is not None
    tried = {  # other forms of two arms, for --tune
        "uncertain, squared": np.clip(chance * (1 - chance), 1e-6, None),
        "drift, as it is": np.clip(odd, 1e-3, None),
        "drift, excess": np.clip(1 - (1 - odd) / np.clip(odd, 1e-6, None), 0.02, None),
    }
    arms: dict[Arm, np.ndarray] = {
        "uncertain": unsure(chance), "drift": strange(odd), "diverse": rare(groups(codes, labels))
    }  # fmt: skip
    return {**arms, **tried}  # type: ignore[dict-item]


def _shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.iloc[np.random.default_rng([seed, 3]).permutation(len(frame))].reset_index(drop=True)


def _cut(frame: pd.DataFrame, first: int, second: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    parts = frame[:first], frame[first : first + second], frame[first + second :]
    return tuple(part.reset_index(drop=True) for part in parts)  # type: ignore[return-value]


def mixes_of(names: tuple[str, ...]) -> dict[str, Mix]:
    """The mixes of the strategies as they are in use."""
    return {name: MIXES[name] for name in names}  # type: ignore[index]
