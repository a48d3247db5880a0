from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trainers.base import Gate, TrainingError
from trainers.expectation import FOLDS, expect
from trainers.fingerprint import on_holdout, row_keys
from trainers.pipeline import retrain, train
from trainers.scoring import champion as asked
from trainers.sklearn_trainers import HistGradientBoosting

FAST = HistGradientBoosting(max_iter=20)


@dataclass
class Watched:
    """The trainer, which remembers the rows it was given."""

    name: str = "watched"
    seen: list[pd.DataFrame] = field(default_factory=list)

    def params(self) -> dict[str, Any]:
        return {}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        self.seen.append(features)
        return FAST.fit(features, labels, categorical)


@pytest.fixture
def first(flows: Any, csv: Any, spec: Any, registry: Any, home: Any) -> Any:
    return train("flows", [csv(flows(600), "old.csv")], [], spec, FAST, registry, home, gate=Gate()).version


def test_what_is_expected_is_what_comes(first, flows, csv, spec, registry, home) -> None:
    new = csv(flows(400, ("scan", "BENIGN"), seed=1), "new.csv")
    found = expect(first, asked(first), [new], spec, FAST)
    hoped = found.cell.differences["accuracy"]
    assert hoped.low > 0.3
    assert found.cell.p_gain() < 1e-6
    assert found.folds == FOLDS
    outcome = retrain(first, [new], spec, FAST, registry, home, gate=Gate())
    came = outcome.matrix[-1].differences["accuracy"]
    assert came.low <= hoped.value <= came.high
    held = outcome.matrix[-1].rows
    assert found.cell.rows + held == 400
    assert found.rows == 600 + 400 - held - outcome.matrix[0].rows


def test_the_hold_outs_are_not_touched(first, flows, csv, spec) -> None:
    frame = flows(300, ("scan", "BENIGN"), seed=1)
    watched = Watched()
    expect(first, asked(first), [csv(frame, "new.csv")], spec, watched)
    assert len(watched.seen) == FOLDS
    for rows in watched.seen:
        assert not on_holdout(row_keys(rows, first.schema)).any()


def test_each_row_is_judged_by_a_model_that_has_not_seen_it(first, flows, csv, spec) -> None:
    """Labels by chance cannot be learned; a model judged on its own rows would seem to."""
    frame = flows(500, ("scan", "BENIGN"), seed=1)
    frame["label"] = np.random.default_rng(0).permutation(frame["label"])
    twice = pd.concat([frame, frame.assign(id=1)])  # the same rows once more: in the same fold
    found = expect(first, asked(first), [csv(twice, "new.csv")], spec, HistGradientBoosting(max_iter=100))
    assert 0.35 < found.cell.challenger.accuracy < 0.65


def test_without_a_gain_none_is_promised(first, flows, csv, spec) -> None:
    found = expect(first, asked(first), [csv(flows(300, seed=5), "more.csv")], spec, FAST)
    assert found.cell.p_value() > 0.05
    moved = found.cell.differences["accuracy"]
    assert moved.low <= 0 <= moved.high


def test_the_same_files_give_the_same_estimate(first, flows, csv, spec) -> None:
    frame = flows(200, ("scan", "BENIGN"), seed=1)
    files = [csv(frame, "a.csv"), csv(frame.sample(frac=1, random_state=1), "b.csv")]
    one, other = (expect(first, asked(first), [file], spec, FAST) for file in files)
    assert replace(one, seconds=0.0) == replace(other, seconds=0.0)


def test_what_cannot_be_estimated_is_said(first, flows, csv, spec) -> None:
    with pytest.raises(TrainingError, match="20 are needed to say what they would bring"):
        expect(first, asked(first), [csv(flows(20, seed=1), "few.csv")], spec, FAST)

    class Broken(Watched):
        def fit(self, *_: Any) -> Any:
            raise MemoryError("no room")

    with pytest.raises(TrainingError, match="the trainer watched failed: MemoryError: no room"):
        expect(first, asked(first), [csv(flows(100, seed=1), "new.csv")], spec, Broken())
