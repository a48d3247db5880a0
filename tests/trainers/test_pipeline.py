from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from detectors.baseline import Baseline
from detectors.checking import check
from detectors.digest import sha256_file
from detectors.errors import DataError
from trainers.base import Gate, LabelSpec, ModelVersion, RetrainOutcome, TrainingError, TrainOutcome
from trainers.calibration import Calibrated
from trainers.estimators import EstimatorTrainer, Trusting
from trainers.lineage import Lineage
from trainers.mlflow_registry import MlflowRegistry
from trainers.pipeline import retrain, train
from trainers.reproduce import reproduce
from trainers.scoring import champion
from trainers.search import Searched, Space
from trainers.sklearn_trainers import HistGradientBoosting, LogisticRegression, RandomForest
from trainers.version_folder import forget

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "cicids2017"
FAST = HistGradientBoosting(max_iter=20)
NOT_FEATURES = (
    "id",
    "Flow ID",
    "Src IP",
    "Src Port",
    "Dst IP",
    "Dst Port",
    "Timestamp",
    "Attempted Category",
)


@pytest.fixture
def first(flows, csv, spec, registry, home) -> TrainOutcome:
    return train("flows", [csv(flows(600), "old.csv")], [], spec, FAST, registry, home, gate=Gate())


@pytest.fixture
def scans(flows, csv) -> Path:
    return csv(flows(200, ("scan",), seed=1), "scans.csv")


def client(registry: MlflowRegistry) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(registry.tracking_uri, registry.tracking_uri)


def versions(registry: MlflowRegistry) -> list[int]:
    return sorted(int(v.version) for v in client(registry).search_model_versions("name='flows'"))


def test_baselines_may_be_kept_in_a_place_of_their_own(flows, csv, spec, registry, home, tmp_path):
    data, kept = csv(flows(600), "old.csv"), tmp_path / "kept"
    words = ("flows", [data], [], spec, FAST, registry, home)
    version = train(*words, gate=Gate(), baselines=kept).version
    assert version.baseline_path == str(kept / "flows" / "v1" / "baseline.npz")
    assert version.baseline_sha256 == sha256_file(version.baseline_path)
    assert Baseline.load(version.baseline_path).version == "1"

    in_the_way = kept / "flows" / "v2" / "baseline.npz"
    in_the_way.parent.mkdir()
    in_the_way.write_bytes(b"of another project")
    with pytest.raises(TrainingError, match="is there, but the registry has given version 2 anew"):
        train(*words, gate=Gate(), baselines=kept)
    assert in_the_way.read_bytes() == b"of another project"
    assert versions(registry) == [1]


def test_what_was_taken_back_leaves_no_files_and_those_of_others_alone(tmp_path):
    home, kept = tmp_path / "home", tmp_path / "kept"
    ours = {2: home / "models" / "flows" / "v2", 3: home / "models" / "flows" / ".v3-abc"}
    for version, folder in ours.items():
        folder.mkdir(parents=True)
        (folder / "baseline.npz").write_bytes(b"ours")
        (kept / "flows" / f"v{version}").mkdir(parents=True)
    (kept / "flows" / "v2" / "baseline.npz").write_bytes(b"ours")
    (kept / "flows" / "v3" / "baseline.npz").write_bytes(b"of another project")
    forget(home, "flows", 2, kept)
    forget(home, "flows", 3, kept)
    forget(home, "flows", 4, kept)
    assert list((home / "models" / "flows").iterdir()) == []
    assert [path.parent.name for path in kept.rglob("*.npz")] == ["v3"]


def test_a_trainer_of_another_kind_goes_all_the_way(flows, csv, spec, registry, home, scans):
    """Nearest neighbours, searched, calibrated, and with types that only the configuration trusts."""
    from sklearn.neighbors import KNeighborsClassifier

    def make(changed: Any) -> EstimatorTrainer:
        return EstimatorTrainer("knn", KNeighborsClassifier(**changed), changed, probabilities=False)

    tree = ("sklearn.neighbors._kd_tree.KDTree", "sklearn.metrics._dist_metrics.EuclideanDistance64")
    searched = Searched(make, Space({"n_neighbors": [3, 15]}, folds=2))
    trainer = Trusting(Calibrated(searched, "sigmoid"), tree)
    ours = MlflowRegistry(home, trusted=tree)
    data = csv(flows(600), "old.csv")
    made = train("flows", [data], [], spec, trainer, ours, home, gate=Gate())
    assert made.notes[0].startswith("search: ")
    version = made.version
    assert version.trusted == tree
    assert version.trainer == "k_neighbors_classifier"
    assert {
        "calibrate": "sigmoid",
        "search.trials": 3,
        "trusted": list(tree),
    }.items() <= version.params.items()
    rows = flows(50, seed=5).drop(columns=["id", "label"]).astype({"proto": float})
    expected = registry.load(version).predict_proba(rows)[:, 1]  # a registry that trusts none by itself
    scorer = champion(version)
    assert (scorer(rows)[1] == expected).all()
    with pytest.raises(TrainingError, match="types that are not trusted"):
        registry.load(replace(version, trusted=()))
    outcome = retrain(version, [scans], spec, trainer, ours, home, gate=Gate())
    assert outcome.notes[-1].startswith("search: ")
    assert TypeAdapter(RetrainOutcome).validate_python(asdict(outcome)) == outcome


def test_the_first_version_has_model_baseline_and_run(first, registry, home, flows):
    version = first.version
    assert (version.model, version.version, version.trainer) == ("flows", 1, "hist_gradient_boosting")
    assert version.params["max_iter"] == 20
    assert [Path(file.path).name for file in version.data] == ["old.csv"]
    assert version.schema.features == ("rate", "bytes", "proto", "service")
    assert registry.alias("flows", "challenger") == 1
    assert registry.alias("flows", "champion") is None  # promotion is a decision, and not made here
    assert Path(version.baseline_path) == home / "models" / "flows" / "v1" / "baseline.npz"
    assert sha256_file(version.baseline_path) == version.baseline_sha256
    assert [entry.name for entry in (home / "models" / "flows").iterdir()] == ["v1"]
    (evaluation,) = version.evaluations
    assert evaluation.holdout == "old"
    assert evaluation.metrics.accuracy > 0.98
    assert first.notes == ()
    model = registry.load(version)
    assert (model.predict(flows(50, seed=7)) == (flows(50, seed=7)["label"] == "ddos")).mean() > 0.95


def test_the_baseline_is_of_the_training_rows_and_reads_batches_as_they_come(first, flows, csv):
    baseline = Baseline.load(first.version.baseline_path)
    assert (baseline.model, baseline.version) == ("flows", "1")
    assert baseline.rows == 600 - first.version.evaluations[0].rows
    assert set(baseline.features) == set(first.version.schema.features)
    # "proto" is a category of numbers: 6 in a batch is the 6.0 that was trained on, whatever the file says.
    batch = flows(400, seed=3)
    for source in (csv(batch, "batch.csv"), batch, batch.astype({"proto": "float64"})):
        assert check(baseline, source).verdict == "stable"


def test_the_baseline_learns_natural_variation_from_the_period(flows, csv, spec, registry, home):
    # "bytes" alternates from day to day by far more than chance, "rate" does not.
    frame = flows(2000).assign(day=np.arange(2000) // 200)
    frame["bytes"] += (frame["day"] % 2) * 500_000
    file = csv(frame, "old.csv")
    floors = []
    for period in (None, "day"):
        dated = replace(spec, period=period, ignore=("id", "day"))
        version = train("flows", [file], [], dated, FAST, registry, home, gate=Gate()).version
        baseline = Baseline.load(version.baseline_path)
        assert set(baseline.features) == {"rate", "bytes", "proto", "service"}
        floors.append({name: part.variation.get("psi", 0.0) for name, part in baseline.features.items()})
    assert set(floors[0].values()) == {0.0}
    assert floors[1]["bytes"] > 0.2
    assert floors[1]["rate"] < 0.1


def test_the_run_says_what_was_trained_on_what(first, registry):
    run = client(registry).get_run(first.version.run_id)
    assert run.data.params["trainer"] == "hist_gradient_boosting"
    assert run.data.params["max_iter"] == "20"
    assert run.data.params["rows.train"] == str(600 - first.version.evaluations[0].rows)
    assert (
        run.data.metrics["old_holdout.challenger.accuracy"] == first.version.evaluations[0].metrics.accuracy
    )
    assert run.data.tags["driftcatcher.code"] == first.version.code_version
    (file,) = first.version.data
    (logged,) = run.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("old.csv", file.sha256[:36])
    artifacts = [artifact.path for artifact in client(registry).list_artifacts(first.version.run_id)]
    assert artifacts == ["baseline.npz", "lineage.json", "model_card.md"]
    local = client(registry).download_artifacts(first.version.run_id, "baseline.npz")
    assert sha256_file(local) == first.version.baseline_sha256
    written = client(registry).download_artifacts(first.version.run_id, "lineage.json")
    assert TypeAdapter(Lineage).validate_json(Path(written).read_text()) == first.version.lineage


def test_limits_that_a_first_version_breaks_become_notes(flows, csv, spec, registry, home):
    mixed = flows(400)
    mixed["label"] = np.random.default_rng(0).permutation(mixed["label"])
    outcome = train("flows", [csv(mixed, "old.csv")], [], spec, FAST, registry, home, gate=Gate())
    assert any(note.startswith("accuracy on the old hold-out is 0.") for note in outcome.notes)


def test_repeated_and_contradictory_rows_of_a_first_training_are_said(flows, csv, spec, registry, home):
    frame = flows(300)
    benign = frame[frame["label"] == "BENIGN"].head(4)
    more = pd.concat([frame.head(7), benign.assign(id=1, label="ddos")])
    files = [csv(frame, "a.csv"), csv(more, "b.csv")]
    outcome = train("flows", files, [], spec, FAST, registry, home, gate=Gate())
    assert "7 rows were in an earlier file already and were dropped" in outcome.notes
    assert "8 rows have the same features as a row with another label" in outcome.notes


def test_a_retrain_learns_the_new_and_keeps_the_old(first, scans, spec, registry, home):
    told: list[str] = []
    outcome = retrain(
        first.version,
        [scans],
        spec,
        FAST,
        registry,
        home,
        gate=Gate(),
        progress=told.append,
        tags={"approved_by": "ann"},
    )
    assert outcome.recommendation == "promote"
    before, after = ({e.holdout: e.metrics for e in side} for side in (outcome.champion, outcome.challenger))
    assert before["new"].recall < 0.1
    assert after["new"].recall > 0.95
    assert after["old"].recall > before["old"].recall - 0.01
    assert [(e.holdout, e.rows) for e in outcome.champion] == [
        (e.holdout, e.rows) for e in outcome.challenger
    ]
    assert before["old"] == first.version.evaluations[0].metrics  # the same rows as at its own training
    version = outcome.version
    assert version.version == 2
    assert version.schema == first.version.schema
    assert [Path(file.path).name for file in version.data] == ["old.csv", "scans.csv"]
    assert version.evaluations == outcome.challenger
    assert registry.alias("flows", "challenger") == 2
    run = client(registry).get_run(version.run_id)
    assert run.data.metrics["new_holdout.champion.recall"] == before["new"].recall
    assert run.data.metrics["new_holdout.challenger.recall"] == after["new"].recall
    assert run.data.tags["approved_by"] == "ann"
    assert run.data.tags["driftcatcher.recommendation"] == "promote"
    assert run.data.tags["driftcatcher.champion_version"] == "1"
    assert outcome.reasons[0] in run.data.tags["mlflow.note.content"]
    assert len(run.inputs.dataset_inputs) == 2
    assert told[0] == "reading old.csv"
    assert told[-1] == "registering the new version"


def test_a_second_retrain_goes_on_from_the_first(first, scans, flows, csv, spec, registry, home):
    second = retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate()).version
    again = csv(pd.concat([pd.read_csv(scans), flows(100, seed=8)]), "again.csv")
    third = retrain(second, [again], spec, FAST, registry, home, gate=Gate())
    assert third.version.version == 3
    assert third.duplicates == 200
    assert [Path(file.path).name for file in third.version.data] == ["old.csv", "scans.csv", "again.csv"]
    rows = {e.holdout: e.rows for e in second.evaluations}
    assert third.champion[0].rows == rows["old"] + rows["new"]  # what was new then is old now
    assert [(cell.holdout, cell.files) for cell in third.matrix] == [
        ("old", ("old.csv", "scans.csv")),
        ("era 0", ("old.csv",)),
        ("era 1", ("scans.csv",)),
        ("new", ("again.csv",)),
    ]
    assert [cell.rows for cell in third.matrix[1:3]] == [rows["old"], rows["new"]]
    assert third.matrix[0].challenger.tp == third.challenger[0].metrics.tp
    run = client(registry).get_run(third.version.run_id).data
    assert int(run.params["rows.holdout.era_1"]) == third.matrix[2].rows
    logged = run.metrics
    assert logged["era_1_holdout.challenger.recall"] == third.matrix[2].challenger.recall
    assert logged["era_1_holdout.gain.recall"] == third.matrix[2].differences["recall"].value
    kept = client(registry).download_artifacts(third.version.run_id, "forgetting_matrix.json")
    told = json.loads(Path(kept).read_text())
    assert (told["champion"], told["challenger"]) == ("v2", "v3")
    assert [(row["holdout"], row["rows"]) for row in told["holdouts"]] == [
        (cell.holdout, cell.rows) for cell in third.matrix
    ]
    picture = client(registry).download_artifacts(third.version.run_id, "forgetting_matrix.png")
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_a_retrain_without_a_gain_is_not_recommended(first, flows, csv, spec, registry, home):
    more = csv(flows(200, seed=5), "more.csv")
    outcome = retrain(first.version, [more], spec, FAST, registry, home, gate=Gate())
    assert outcome.recommendation == "keep"


def test_a_poisoned_file_is_not_recommended(first, flows, csv, spec, registry, home):
    poison = flows(600, seed=5)
    poison["label"] = poison["label"].map({"BENIGN": "ddos", "ddos": "BENIGN"})
    outcome = retrain(first.version, [csv(poison, "p.csv")], spec, FAST, registry, home, gate=Gate())
    assert outcome.recommendation == "keep"
    assert "more than the 1 point allowed" in outcome.reasons[0]


def test_the_same_data_give_the_same_model(first, flows, csv, spec, registry, home):
    shuffled = csv(flows(600).sample(frac=1, random_state=3), "shuffled.csv")
    twin = train("flows", [shuffled], [], spec, FAST, registry, home, gate=Gate()).version
    rows = flows(100, seed=9)
    one, two = (registry.load(version).predict_proba(rows) for version in (first.version, twin))
    assert (one == two).all()
    assert twin.evaluations == first.version.evaluations


def test_outcome_and_version_survive_json(first, scans, spec, registry, home):
    outcome = retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate())
    for value, kind in ((outcome, RetrainOutcome), (first.version, ModelVersion), (first, TrainOutcome)):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        assert adapter.validate_json(adapter.dump_json(value)) == value


def test_an_outcome_of_an_earlier_release_is_read(first, scans, spec, registry, home):
    adapter: TypeAdapter[Any] = TypeAdapter(RetrainOutcome)
    stored = adapter.dump_python(retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate()))
    del stored["matrix"]
    for file in stored["version"]["data"]:
        del file["era"]
    old = adapter.validate_python(stored)
    assert old.matrix == ()
    assert [file.era for file in old.version.data] == [0, 0]


@dataclass(frozen=True)
class Spoiled:
    """A trainer of somebody else's that goes wrong."""

    make: Callable[..., Any]
    name: str = "spoiled"

    def params(self) -> dict[str, Any]:
        return {}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        return self.make(features, labels, categorical)


class NoProbability:
    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(features))


class OneColumn(NoProbability):
    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(features))


def out_of_memory(*_: Any) -> Any:
    raise MemoryError("no room")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (out_of_memory, "the trainer spoiled failed: MemoryError: no room"),
        (lambda *_: NoProbability(), "the new spoiled cannot predict: AttributeError"),
        (lambda *_: OneColumn(), r"the new spoiled predicts arrays of shape \(\d+,\) and \(\d+,\)"),
    ],
)
def test_a_trainer_that_fails_is_named_and_leaves_nothing(make, says, first, scans, spec, registry, home):
    with pytest.raises(TrainingError, match=says):
        retrain(first.version, [scans], spec, Spoiled(make), registry, home, gate=Gate())
    assert versions(registry) == [1]
    assert [entry.name for entry in (home / "models" / "flows").iterdir()] == ["v1"]


def test_a_failure_after_the_baseline_was_written_leaves_nothing(
    first, scans, spec, registry, home, monkeypatch
):
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fails)
    with pytest.raises(TrainingError, match="disk full"):
        retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate())
    assert versions(registry) == [1]
    assert registry.alias("flows", "challenger") == 1
    assert [entry.name for entry in (home / "models" / "flows").iterdir()] == ["v1"]
    monkeypatch.undo()
    # MLflow gives no number twice, so no file of the failed attempt can be taken for another version's.
    assert retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate()).version.version == 3


def test_a_baseline_is_never_overwritten(flows, csv, spec, registry, home):
    taken = home / "models" / "flows" / "v1"
    taken.mkdir(parents=True)
    (taken / "baseline.npz").write_text("of another store")
    with pytest.raises(TrainingError, match=r"v1 is there, but the registry has given version 1 anew"):
        train("flows", [csv(flows(), "old.csv")], [], spec, FAST, registry, home, gate=Gate())
    assert (taken / "baseline.npz").read_text() == "of another store"
    assert versions(registry) == []


def test_a_champion_whose_files_changed_stops_the_retrain(first, scans, spec, registry, home):
    for file in (home / "mlartifacts").rglob("model.skops"):
        file.write_bytes(b"other")
    with pytest.raises(
        TrainingError, match=r"the files of flows version 1 .* are not those that were registered"
    ):
        retrain(first.version, [scans], spec, FAST, registry, home, gate=Gate())


def test_bad_requests_are_refused(first, spec, registry, home, tmp_path, scans):
    with pytest.raises(TrainingError, match="no newly labelled file was named"):
        retrain(first.version, [], spec, FAST, registry, home, gate=Gate())
    with pytest.raises(DataError, match=r"gone.csv"):
        retrain(first.version, [tmp_path / "gone.csv"], spec, FAST, registry, home, gate=Gate())
    with pytest.raises(TrainingError, match=r'the model name "../up" is used as a folder'):
        train("../up", [scans], [], spec, FAST, registry, home, gate=Gate())
    assert versions(registry) == [1]


def test_importing_the_package_loads_no_heavy_library():
    names = "base, checks, dataset, mlflow_registry, pipeline, promotion, sklearn_trainers"
    heavy = ("mlflow", "sklearn", "skops", "scipy.stats")
    code = f"import sys; from trainers import {names}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not REAL.is_dir(), reason="the CIC-IDS2017 sample is not beside the repository")
@pytest.mark.parametrize(
    "trainer",
    [HistGradientBoosting(), RandomForest(n_estimators=50), LogisticRegression()],
    ids=lambda t: t.name,
)
def test_on_real_flows_a_port_scan_is_learned_and_ddos_kept(trainer, csv, registry, home):
    spec = LabelSpec("Label", negative=("BENIGN",), ignore=NOT_FEATURES)
    known = [
        pd.read_csv(REAL / f"{name}.csv.gz").sample(frac=0.7, random_state=0) for name in ("benign", "ddos")
    ]
    base = csv(pd.concat(known), "base.csv")
    champion = train("flows", [base], [], spec, trainer, registry, home, gate=Gate()).version
    scans = pd.read_csv(REAL / "portscan.csv.gz")
    sample = scans.sample(500, random_state=0)
    outcome = retrain(champion, [csv(sample, "scans.csv")], spec, trainer, registry, home, gate=Gate())
    before, after = ({e.holdout: e.metrics for e in side} for side in (outcome.champion, outcome.challenger))
    assert before["new"].recall < 0.5
    assert after["new"].recall > 0.95
    assert after["old"].recall >= before["old"].recall - 0.01
    assert outcome.recommendation == "promote"
    assert reproduce(outcome.version, trainer).same
    # The scans that nobody labelled, and the attacks that were not among the base data.
    features = list(champion.schema.features)
    model = registry.load(outcome.version)
    assert model.predict(scans.drop(sample.index)[features]).mean() > 0.95
    unseen = pd.read_csv(REAL / "ddos.csv.gz").drop(known[1].index)
    assert (
        model.predict(unseen[features]).mean()
        >= registry.load(champion).predict(unseen[features]).mean() - 0.01
    )
