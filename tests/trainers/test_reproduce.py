"""Show: a version is trained again from what was recorded of it, with the same metrics to 1e-12."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from trainers.base import Gate, ModelVersion, TrainingError
from trainers.lineage import DvcRevision
from trainers.pipeline import retrain, train
from trainers.reproduce import reproduce
from trainers.sklearn_trainers import HistGradientBoosting, LogisticRegression, RandomForest

FAST = HistGradientBoosting(max_iter=10)
TRAINERS = [FAST, RandomForest(n_estimators=15), LogisticRegression()]


@pytest.fixture
def hard(flows, csv) -> Path:
    """Labels that a column tells only in part, so that metrics are no round numbers."""
    frame = flows(500, ("BENIGN", "ddos"))
    frame["rate"] += np.random.default_rng(5).normal(0, 3, len(frame)).round(6)
    return csv(frame, "hard.csv")


@pytest.fixture
def scans(flows, csv) -> Path:
    return csv(flows(200, ("scan", "BENIGN"), seed=1), "scans.csv")


def later(version: ModelVersion) -> ModelVersion:
    """As it comes back from the state file."""
    adapter = TypeAdapter(ModelVersion)
    return adapter.validate_json(adapter.dump_json(version))


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer.name)
def test_a_first_version_and_a_retrained_one_come_out_the_same(trainer, hard, scans, spec, registry, home):
    words = (spec, trainer, registry, home)
    first = train("flows", [hard], [], *words, gate=Gate()).version
    second = retrain(first, [scans], *words, gate=Gate()).version
    for version, sides in ((first, ["old"]), (second, ["old", "new"])):
        found = reproduce(later(version), trainer)
        assert found.same, found.differences
        assert found.surroundings == ()
        assert [e.holdout for e in found.evaluations] == sides
        assert 0.5 < found.evaluations[0].metrics.roc_auc < 1
    assert registry.alias("flows", "challenger") == 2, "nothing is registered"
    assert sorted(folder.name for folder in (home / "models" / "flows").iterdir()) == ["v1", "v2"]


@pytest.fixture
def version(hard, spec, registry, home) -> ModelVersion:
    return later(train("flows", [hard], [], spec, FAST, registry, home, gate=Gate()).version)


@dataclass(frozen=True)
class Moody(HistGradientBoosting):
    """Learns from labels of which it turns some round."""

    def fit(self, features: Any, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        turned = labels.copy()
        turned[: len(turned) // 3] = 1 - turned[: len(turned) // 3]
        return super().fit(features, turned, categorical)


def test_what_differs_is_listed_with_what_may_be_why(version):
    environment = {**version.lineage.environment, "numpy": "1.0", "gone": "3"}
    recorded = replace(version, lineage=replace(version.lineage, environment=environment, code="abc"))
    found = reproduce(recorded, Moody(max_iter=11))
    assert not found.same
    said = [str(difference) for difference in found.differences]
    assert "parameter max_iter: 10 then, 11 now" in said
    assert any(text.startswith("roc_auc on the old hold-out: 0.") for text in said)
    assert {d.what for d in found.surroundings} == {"driftcatcher", "numpy", "gone"}
    assert next(d for d in found.surroundings if d.what == "gone").now is None


def test_a_difference_in_the_thirteenth_digit_is_none(version):
    (evaluation,) = version.evaluations
    for gap, same in ((1e-13, True), (1e-11, False)):
        moved = replace(evaluation.metrics, accuracy=evaluation.metrics.accuracy + gap)
        recorded = replace(version, evaluations=(replace(evaluation, metrics=moved),))
        assert reproduce(recorded, FAST).same is same


def test_a_file_that_is_gone_or_changed_is_a_clear_error_and_one_that_moved_is_found_by_its_content(
    version, hard
):
    elsewhere = hard.rename(hard.with_name("moved.csv"))
    with pytest.raises(TrainingError, match=r"hard\.csv is gone since flows version 1 was trained on it"):
        reproduce(version, FAST)
    assert reproduce(version, FAST, moved=[elsewhere]).same
    (source,) = version.lineage.sources
    tracked = replace(source, dvc=DvcRevision("/p/hard.csv.dvc", "ab" * 16, "c" * 40))
    with pytest.raises(
        TrainingError, match=r"DVC has it: `git checkout cccccccccccc -- /p/hard\.csv\.dvc && dvc"
    ):
        reproduce(replace(version, lineage=replace(version.lineage, sources=(tracked,))), FAST)
    hard.write_text(elsewhere.read_text().replace("BENIGN", "ddos", 1))
    with pytest.raises(TrainingError, match=r"hard\.csv has changed since flows version 1 was trained on it"):
        reproduce(version, FAST)
    with pytest.raises(TrainingError, match=r"was not trained on the content of .*hard\.csv"):
        reproduce(version, FAST, moved=[hard])


def test_a_version_of_an_earlier_release_says_that_it_cannot(version):
    record: Mapping[str, Any] = TypeAdapter(ModelVersion).dump_python(version)
    old = {key: value for key, value in record.items() if key != "lineage"}
    with pytest.raises(TrainingError, match=r"flows version 1 was trained before lineage was kept"):
        reproduce(TypeAdapter(ModelVersion).validate_python(old), FAST)
