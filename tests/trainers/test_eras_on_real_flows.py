"""Four eras of CIC-IDS2017: denial of service, then port scans, then slow attacks, then only other benign traffic."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.quality.real import FOLDER
from trainers.base import Gate, LabelSpec, ModelVersion, RetrainOutcome
from trainers.fingerprint import on_holdout, row_keys
from trainers.mlflow_registry import MlflowRegistry
from trainers.pipeline import retrain, train
from trainers.sklearn_trainers import HistGradientBoosting

REAL = FOLDER
pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the CIC-IDS2017 sample is not beside the repository"
)
SPEC = LabelSpec(
    "Label",
    negative=("BENIGN",),
    ignore=("id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Timestamp", "Attempted Category"),
)
FAST = HistGradientBoosting(max_iter=30)
GATE = Gate()


@dataclass
class Watched:
    """The trainer, which remembers the rows it was given; `only` keeps those it is to train on."""

    name: str = "watched"
    only: Callable[[pd.DataFrame], np.ndarray] | None = None
    seen: list[pd.DataFrame] = field(default_factory=list)

    def params(self) -> Mapping[str, Any]:
        return FAST.params()

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        self.seen.append(features)
        if self.only is not None:
            kept = self.only(features)
            features, labels = features[kept], labels[kept]
        return FAST.fit(features, labels, categorical)


@dataclass(frozen=True)
class Story:
    """The chain of retrains, and the means to go on from any of its versions."""

    files: dict[str, Path]
    frames: dict[str, pd.DataFrame]
    registry: MlflowRegistry
    home: Path
    versions: list[ModelVersion]
    outcomes: list[RetrainOutcome]
    trainer: Watched

    def further(self, champion: ModelVersion, *files: Path, trainer: Any = FAST) -> RetrainOutcome:
        return retrain(champion, files, SPEC, trainer, self.registry, self.home, gate=GATE)

    def write(self, frame: pd.DataFrame, name: str) -> Path:
        path = self.home / name
        frame.to_csv(path, index=False)
        return path


def eras() -> dict[str, pd.DataFrame]:
    names = ("benign", "ddos", "portscan", "dos_slowloris")
    read = {name: fewer(pd.read_csv(REAL / f"{name}.csv.gz")) for name in names}
    friday = pd.to_datetime(read["benign"]["Timestamp"]).dt.day_of_week == 4
    usual, other = read["benign"][~friday].sample(1500, random_state=0), read["benign"][friday]
    return {
        "base": pd.concat([usual[:900], read["ddos"].sample(700, random_state=0)]),
        "scans": pd.concat([usual[900:1200], read["portscan"].sample(400, random_state=0)]),
        "slow": pd.concat([usual[1200:], read["dos_slowloris"].sample(400, random_state=0)]),
        "calm": other.sample(300, random_state=0),
        "poisoned": poisoned(pd.concat([usual[1200:], read["dos_slowloris"].sample(400, random_state=0)])),
        "same": pd.concat(
            [usual[:0], read["ddos"].sample(300, random_state=9), other.sample(20, random_state=1)]
        ),
    }


def fewer(frame: pd.DataFrame) -> pd.DataFrame:
    """Every fourth feature: what is shown does not hang on all 82, the time it takes does."""
    features = [name for name in frame.columns if name not in (*SPEC.ignore, SPEC.column)]
    return frame.drop(columns=[name for n, name in enumerate(features) if n % 4])


def poisoned(frame: pd.DataFrame) -> pd.DataFrame:
    """30 % of the labels turned."""
    turned = np.random.default_rng(0).random(len(frame)) < 0.3
    other = np.where(frame["Label"] == "BENIGN", "DoS Slowloris", "BENIGN")
    return frame.assign(Label=np.where(turned, other, frame["Label"]))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Story:
    home = tmp_path_factory.mktemp("eras")
    shutil.copy(mlflow_template, home / "mlflow.db")
    frames, registry, trainer = eras(), MlflowRegistry(home), Watched()
    made = Story({}, frames, registry, home, [], [], trainer)
    for name, frame in frames.items():
        made.files[name] = made.write(frame.sample(frac=1, random_state=1), f"{name}.csv")
    made.versions.append(
        train("flows", [made.files["base"]], [], SPEC, trainer, registry, home, gate=GATE).version
    )
    for name in ("scans", "slow", "calm"):
        outcome = made.further(made.versions[-1], made.files[name], trainer=trainer)
        made.outcomes.append(outcome)
        made.versions.append(outcome.version)
    return made


def test_three_retrains_later_every_attack_is_still_known(story: Story) -> None:
    assert [o.recommendation for o in story.outcomes[:2]] == ["promote", "promote"]
    last = {cell.holdout: cell for cell in story.outcomes[-1].matrix}
    assert list(last) == ["old", "era 0", "era 1", "era 2", "new"]
    for era in ("era 0", "era 1", "era 2"):  # whichever of the two versions is the champion in the end
        assert last[era].champion.recall >= 0.95
        assert last[era].challenger.recall >= 0.95
    assert "recall" not in last["new"].differences  # no attack there
    for attack, outcome in zip(("scans", "slow"), story.outcomes, strict=False):
        new = outcome.matrix[-1]
        assert new.files == (f"{attack}.csv",)
        assert new.champion.recall < 0.6 < 0.95 <= new.challenger.recall
        assert new.p_gain() < 1e-6


def test_trained_on_new_rows_alone_the_matrix_shows_what_was_forgotten(story: Story) -> None:
    known = set(keys_of(story, story.frames["slow"]))
    alone = Watched("new_alone", lambda rows: np.isin(row_keys(rows, story.versions[0].schema), list(known)))
    outcome = story.further(story.versions[1], story.files["slow"], trainer=alone)
    cells = {cell.holdout: cell for cell in outcome.matrix}
    assert outcome.recommendation == "keep"
    assert min(cells["era 0"].challenger.recall, cells["era 1"].challenger.recall) < 0.5
    assert cells["new"].challenger.recall >= 0.95  # by itself it would look like a gain
    lost = [name for name in ("era 0", "era 1") if cells[name].differences["recall"].high < -0.01]
    assert lost
    for era in lost:
        assert any(
            f"on the hold-out of {era}" in r and "more than the 1 point allowed" in r for r in outcome.reasons
        )


def test_a_challenger_of_30_percent_turned_labels_is_blocked(story: Story) -> None:
    outcome = story.further(story.versions[1], story.files["poisoned"])
    assert outcome.recommendation == "keep"
    assert any("below the gate's" in reason or "more than" in reason for reason in outcome.reasons)


def test_what_brings_no_real_gain_is_called_no_significant_difference(story: Story) -> None:
    outcome = story.further(story.versions[0], story.files["same"])
    assert outcome.recommendation == "keep"
    assert outcome.matrix[-1].p_value() > 0.05
    assert "no significant difference" in outcome.reasons[0]


def keys_of(story: Story, frame: pd.DataFrame) -> np.ndarray:
    from trainers.schema import typed_features

    schema = story.versions[0].schema
    return row_keys(typed_features(frame.reset_index(drop=True), schema, "a frame", []), schema)


def test_a_file_given_three_times_trains_on_no_hold_out_row_and_moves_no_metric(story: Story) -> None:
    rng = np.random.default_rng(5)
    again = [
        story.write(
            story.frames["scans"].sample(frac=1, random_state=n)[
                list(rng.permutation(story.frames["scans"].columns))
            ],
            f"other name {n}.csv",
        )
        for n in (2, 3, 4)
    ]
    watched = Watched()
    thrice = story.further(story.versions[0], *again, trainer=watched)
    once = story.outcomes[0]
    assert [strip(cell) for cell in thrice.matrix] == [strip(cell) for cell in once.matrix]
    # And once more two retrains later, as if it were new, beside the next file.
    later = story.further(story.versions[1], again[0], story.files["slow"], trainer=watched)
    assert [strip(cell) for cell in later.matrix] == [strip(cell) for cell in story.outcomes[1].matrix]
    measured = [
        keys_of(story, frame)
        for name, frame in story.frames.items()
        if name in ("base", "scans", "slow", "calm")
    ]
    held = np.concatenate([keys[on_holdout(keys)] for keys in measured])
    trained = [*story.trainer.seen, *watched.seen]
    assert len(held) > 500
    assert len(trained) == 6
    for rows in trained:
        assert not np.isin(row_keys(rows, story.versions[0].schema), held).any()


def strip(cell: Any) -> tuple[Any, ...]:
    return cell.holdout, cell.champion, cell.challenger, dict(cell.differences), dict(cell.decided)
