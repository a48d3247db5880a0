"""`driftcatcher performance` through real files and a real state file: late labels, segments, and the cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot import status
from bot.text_report import status_text
from detectors.performance import evaluate
from detectors.report import Estimate
from tests.bot.conftest import crown, version_record
from trainers.base import Evaluation, TrainingError


class Away:
    """MLflow is not what is tested here."""

    def log_metrics_run(self, *_: Any) -> str:
        raise TrainingError("away")


@pytest.fixture(autouse=True)
def without_mlflow(monkeypatch) -> None:
    from bot.bootstrap import Application

    monkeypatch.setattr(Application, "registry", Away())


@pytest.fixture
def held(watched, traffic, baseline):
    """A champion, version 2, that was right on 95 % of 6,000 hold-out rows."""
    truth = np.array([0, 1] * 3000)
    guess = np.where(np.arange(6000) < 300, 1 - truth, truth)
    record = replace(
        version_record(baseline, traffic.base, 2),
        evaluations=(Evaluation("old", 6000, evaluate(truth, guess)),),
    )
    crown(watched.app, record)
    return watched


def rows_of(path: Path) -> int:
    return len(pd.read_csv(path))


def predictions(path: Path, rows: int, wrong: float, **more: object) -> tuple[Path, Path]:
    """Files of predictions and of labels; `wrong` of the rows, spread evenly, are mistaken."""
    places = np.arange(rows)
    truth = (places // 50) % 2
    mistaken = np.floor((places + 1) * wrong) > np.floor(places * wrong)
    columns = {"flow": [f"f{i}" for i in places], "y_pred": np.where(mistaken, 1 - truth, truth), **more}
    pd.DataFrame(columns).to_csv(path / "predictions.csv", index=False)
    labels = pd.DataFrame({"flow": columns["flow"], "Label": np.where(truth, "DDoS", "BENIGN")})
    labels.to_csv(path / "labels.csv", index=False)
    return path / "predictions.csv", path / "labels.csv"


CASES = {
    "neither": ("stable", 0.04, 0, "neither drift nor harm", "Nothing to do"),
    "drift_without_harm": ("drifted", 0.04, 0, "drift without harm", "Do not retrain for this alone"),
    "harm_without_drift": ("stable", 0.20, 1, "harm without drift (concept drift", "rows labelled since the change"),
    "both": ("drifted", 0.20, 1, "both drift and harm", "retrain on old and new data together"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_drift_and_harm_are_told_apart(held, traffic, run: Callable[..., Any], tmp_path, case: str) -> None:
    kind, wrong, code, title, advice = CASES[case]
    features = getattr(traffic, kind)
    batch = held.app.monitoring.check(held.model, features).batch
    mine, labels = predictions(tmp_path, 3000, wrong)
    words = ("performance", mine, "--labels", labels, "--id", "flow", "--batch", features)
    said = run(held.folder, *words)
    assert (said.code, said.out.splitlines()[0][: len(title) + 9]) == (code, f"netflow: {title}")
    assert advice in said.out.splitlines()[1]
    assert f"accuracy {1 - wrong:.4f} against 0.9500 on the hold-outs of version 2 (6,000 rows)" in said.out
    assert f"{batch.verdict}, {features.name} against version 2 (named by --batch)" in said.out
    found = run(held.folder, *words, "--json").json
    assert (found["case"], found["harm"], found["degraded"]) == (case, code == 1, code == 1)
    assert advice in found["advice"]
    assert (found["batch"]["id"], found["batch"]["verdict"]) == (batch.id, batch.verdict)
    stored = held.app.store.last_performance("netflow")
    assert (stored.batch_id, stored.case) == (batch.id, case)
    assert f", {case.replace('_', ' ')}" in status_text(status.read(held.model, held.app.store, stored.at))


def test_too_few_labels_say_how_many_would_do(held, traffic, run, tmp_path) -> None:
    held.app.monitoring.check(held.model, traffic.stable)
    mine, labels = predictions(tmp_path, 500, 0.06)
    some = tmp_path / "some.csv"
    pd.read_csv(labels)[:312].to_csv(some, index=False)
    done = run(held.folder, "performance", mine, "--labels", some, "--id", "flow")
    assert (done.code, "out of bounds: false negative rate" in done.out) == (1, True)
    assert "netflow: too few labels to tell of harm; the features did not drift" in done.out
    assert "312 of 500 predictions have labels yet" in done.out
    found = run(held.folder, "performance", mine, "--labels", some, "--id", "flow", "--json").json
    needed = found["degradation"]["labels_needed"]
    assert f"{needed:,} labels would be enough" in done.out
    assert f"until there are about {needed:,} labels" in done.out
    assert (found["harm"], found["counts"]["labelled"], found["counts"]["predictions"]) == (None, 312, 500)


def test_labels_come_in_parts_and_later_ones_decide(held, traffic, run, tmp_path) -> None:
    held.app.monitoring.check(held.model, traffic.stable)
    mine, labels = predictions(tmp_path, 3000, 0.1)
    whole = pd.read_csv(labels)
    for i in range(3):
        whole[1000 * i : 1000 * (i + 1)].to_csv(tmp_path / f"part{i}.csv", index=False)
    words = [w for i in range(3) for w in ("--labels", tmp_path / f"part{i}.csv")]
    first = run(held.folder, "performance", mine, *words[:2], "--id", "flow", "--json").json
    found = run(held.folder, "performance", mine, *words, "--id", "flow", "--json")
    assert (first["counts"]["labelled"], found.json["counts"]["labelled"]) == (1000, 3000)
    assert (found.code, found.json["case"]) == (1, "harm_without_drift")
    assert found.json["said"] == []
    by_order = run(held.folder, "performance", mine, *words, "--json").json
    assert by_order["metrics"] == found.json["metrics"]


def test_the_newest_batch_is_taken_and_said_where_none_is_named(held, traffic, run, tmp_path) -> None:
    held.app.monitoring.check(held.model, traffic.drifted)
    held.app.monitoring.check(held.model, traffic.stable)
    mine, labels = predictions(tmp_path, rows_of(traffic.stable), 0.2)
    done = run(held.folder, "performance", mine, "--labels", labels)
    assert "stable.csv against version 2 (the newest checked batch)" in done.out
    assert "name it by --batch" not in done.out
    few, labels = predictions(tmp_path, 1100, 0.2)
    other = run(held.folder, "performance", few, "--labels", labels)
    assert "the newest checked batch, has 1,200 rows and not 1,100" in other.out


def test_a_batch_that_was_never_checked_is_bad_input(held, traffic, run, tmp_path) -> None:
    mine, labels = predictions(tmp_path, 100, 0.1)
    done = run(held.folder, "performance", mine, "--labels", labels, "--batch", traffic.stable)
    assert done.code == 2
    assert "was not checked for netflow: run `driftcatcher check" in done.err
    unknown = run(held.folder, "performance", mine, "--labels", labels)
    assert "no batch of this model was checked, so nothing is known of drift" in unknown.out


def test_a_segment_that_is_worse_is_named(held, run, tmp_path) -> None:
    country = np.array(["AT", "BE", "CH", "DE"] * 250)
    mine, labels = predictions(tmp_path, 1000, 0.05, country=country, bytes=np.arange(1000))
    frame = pd.read_csv(mine)
    swapped = frame.index[frame["country"] == "BE"][:60]
    frame.loc[swapped, "y_pred"] = 1 - frame.loc[swapped, "y_pred"]
    frame.to_csv(mine, index=False)
    words = ("performance", mine, "--labels", labels, "--segment", "country", "--segment", "bytes")
    found = run(held.folder, *words, "--json").json["segments"]
    assert [s["value"] for s in found if s["column"] == "country"] == ["AT", "BE", "CH", "DE"]
    assert [s["rows"] for s in found if s["column"] == "bytes"] == [250] * 4
    assert "BE" in [s["value"] for s in found if s["worse"]]
    assert set(found[0]["metrics"]) >= {"accuracy", "precision", "recall", "f1"}
    said = run(held.folder, *words).out
    (line,) = [line for line in said.splitlines() if "country BE" in line]
    be = next(s for s in found if s["value"] == "BE")
    interval = f"({be['interval']['low']:.3f} to {be['interval']['high']:.3f})"
    assert f"worse than the rest: country BE: accuracy {be['right'] / 250:.3f} {interval} on 250 rows" in line
    unknown = run(held.folder, "performance", mine, "--labels", labels, "--segment", "town")
    assert (unknown.code, 'no segments by "town"' in unknown.err) == (2, True)


def test_intervals_are_said_with_their_method(held, run, tmp_path) -> None:
    truth = np.array([0, 1] * 100)
    score = np.clip(0.5 + 0.3 * (2 * truth - 1) + np.linspace(-0.5, 0.5, 200), 0, 1)
    path = tmp_path / "p.csv"
    pd.DataFrame({"y_true": truth, "y_pred": score > 0.5, "y_prob": score}).to_csv(path, index=False)
    found = run(held.folder, "performance", path, "--json").json["intervals"]
    assert found["accuracy"]["method"] == "Clopper-Pearson"
    assert found["roc_auc"]["method"] == "bootstrap"
    said = run(held.folder, "performance", path).out
    accuracy = found["accuracy"]
    assert f"95 % {accuracy['low']:.4f} to {accuracy['high']:.4f}, Clopper-Pearson" in said
    stored = held.app.store.last_performance("netflow")
    assert stored.intervals["roc_auc"].low == found["roc_auc"]["low"]


@pytest.fixture
def classes(tmp_path) -> Path:
    truth = np.repeat(["BENIGN", "DDoS", "PortScan"], [300, 100, 100])
    guess = truth.copy()
    guess[300:340] = "PortScan"
    pd.DataFrame({"y_true": truth, "y_pred": guess}).to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "p.csv"


def test_each_class_by_itself_where_it_is_asked_for(held, run, classes) -> None:
    folded = run(held.folder, "performance", classes, "--json").json
    assert (folded["metrics"]["accuracy"], folded["classes"]) == (1.0, None)
    found = run(held.folder, "performance", classes, "--every-class", "--json")
    assert found.json["metrics"]["accuracy"] == 0.92
    assert found.json["metrics"]["macro_recall"] == pytest.approx((1 + 0.6 + 1) / 3)
    assert found.json["classes"]["recall"] == {"BENIGN": 1.0, "DDoS": 0.6, "PortScan": 1.0}
    assert found.json["classes"]["confusion"] == [[300, 0, 0], [0, 60, 40], [0, 0, 100]]
    assert (found.code, found.json["breaches"], found.json["harm"]) == (0, [], False)
    assert {"accuracy", "macro_recall", "weighted_f1"} <= set(found.json["intervals"])
    said = run(held.folder, "performance", classes, "--every-class").out
    assert "class DDoS: recall 0.6000 of 100, most often taken for PortScan (40)" in said
    assert "judged by the limits alone: the hold-outs were measured on two classes" in said
    assert "confusion matrix" not in said


def test_each_class_by_itself_by_configuration_with_its_limits(watch, run, classes) -> None:
    folder = watch("[models.performance]\nevery_class = true\nmin_recall = 0.9\n").folder
    found = run(folder, "performance", classes, "--json")
    assert (found.code, found.json["breaches"]) == (1, ["macro recall 0.867 is below 0.9"])


def test_an_alert_comes_without_a_broken_limit_too(held, traffic, tmp_path) -> None:
    from bot.evaluating import Labelled

    held.app.monitoring.check(held.model, traffic.stable)
    mine, labels = predictions(tmp_path, 3000, 0.08)
    model = held.model.model_copy(
        update={
            "performance": held.model.performance.model_copy(update={"max_fnr": 0.1, "min_accuracy": 0.9})
        }
    )
    evaluating = held.app.evaluating
    files = Labelled((mine,), (labels,), "flow")
    evaluated = evaluating.evaluate(model, files)
    assert (evaluated.breaches, evaluated.record.case) == ((), "harm_without_drift")
    assert evaluating.notify(model, evaluated).action == "alert"
    assert held.said() == [("performance", {"performance_id": evaluated.record.id})]
    assert evaluating.notify(model, evaluating.evaluate(model, files)).action == "quiet", "the same files"


def test_estimates_are_held_against_the_labels_that_came(held, traffic, run, tmp_path) -> None:
    store = held.app.store
    batch = held.app.monitoring.check(held.model, traffic.stable).batch
    mine, labels = predictions(tmp_path, 1200, 0.05)
    run(held.folder, "performance", mine, "--labels", labels)
    assert status.read(held.model, store, batch.checked_at).estimates is None, "nothing was estimated"
    report = replace(batch.report, estimate=Estimate(0.94, 0.93, 0.96, 0.95, 1200, 0.0))
    claim = store.claim_batch("netflow", "f" * 64, "/in/scored.csv", "2", "p", batch.checked_at)
    store.save_report(claim.batch.id, report, b"", batch.checked_at.replace(year=2100))
    run(held.folder, "performance", mine, "--labels", labels)
    found = status.read(held.model, store, batch.checked_at)
    assert (found.estimates.checked, found.estimates.inside) == (1, 1)
    assert found.estimates.error == pytest.approx(1.0)
    line = "Estimates so far: 1 checked against labels, off by 1.0 points, 1 of 1 inside the interval"
    assert f"  {line}\n" in status_text(found)
    assert json.loads(json.dumps(status.as_dict(found)))["estimates"]["checked"] == 1


def test_hold_outs_that_only_the_baseline_remembers(watched, traffic, baseline, run, tmp_path) -> None:
    from bot.demo.traffic import LABEL_COLUMN
    from detectors.baseline import Baseline
    from detectors.track_record import measure

    known = Baseline.load(baseline)
    rows = pd.read_csv(traffic.base)
    truth = (rows[LABEL_COLUMN] != "BENIGN").to_numpy().astype(int)
    said = np.where(np.arange(len(truth)) % 25 == 0, 1 - truth, truth)

    def champion(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return said[: len(frame)], said[: len(frame)].astype(float)

    record = measure(list(known.features.values()), rows[list(known.features)], truth, champion)
    replace(known, record=record).save(tmp_path / "remembers.npz")
    crown(watched.app, version_record(tmp_path / "remembers.npz", traffic.base, 2))
    mine, labels = predictions(tmp_path, 2000, 0.2)
    found = run(watched.folder, "performance", mine, "--labels", labels, "--json").json["degradation"]
    assert (found["reference"], found["reference_rows"]) == (pytest.approx(0.96), 3000)
    assert (found["source"], found["harm"]) == ("the hold-outs of version 2", True)


def test_without_hold_outs_the_limits_decide(watched, run, tmp_path) -> None:
    mine, labels = predictions(tmp_path, 2000, 0.2)
    done = run(watched.folder, "performance", mine, "--labels", labels)
    assert done.code == 1
    assert "judged by the limits alone: version 1 has no hold-outs to compare with" in done.out
    found = run(watched.folder, "performance", mine, "--labels", labels, "--json").json
    assert (found["harm"], found["degradation"], len(found["breaches"])) == (True, None, 5)


def test_the_hold_outs_are_those_of_the_version_that_the_batch_was_checked_for(
    held, traffic, baseline, run, tmp_path
) -> None:
    held.app.monitoring.check(held.model, traffic.stable)
    crown(held.app, version_record(baseline, traffic.base, 3))
    mine, labels = predictions(tmp_path, 1200, 0.2)
    found = run(
        held.folder, "performance", mine, "--labels", labels, "--batch", traffic.stable, "--json"
    ).json
    assert found["degradation"]["source"] == "the hold-outs of version 2"


def test_row_counts_that_disagree_are_bad_input_with_both_counts(held, run, tmp_path) -> None:
    mine, labels = predictions(tmp_path, 100, 0.1)
    pd.read_csv(labels)[:99].to_csv(labels, index=False)
    done = run(held.folder, "performance", mine, "--labels", labels)
    assert (done.code, done.out) == (2, "")
    assert "100 predictions and 99 labels cannot be matched by the order of rows" in done.err
    assert held.app.store.last_performance("netflow") is None
