"""Predictions whose labels have come: read as they are written, measured, remembered, and told once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot.evaluating import Evaluating, _order
from bot.workspace import User, Workspace
from trainers.base import TrainingError


class Logbook:
    """In the place of MLflow, whose own part has its own tests: keeps what it is told, or is away."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.runs: list[tuple[str, Mapping[str, float], Mapping[str, Any]]] = []

    def log_metrics_run(
        self,
        model: str,
        run_name: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str:
        if self.away:
            raise TrainingError("MLflow (http://mlflow:5000) refused or failed: no route")
        self.runs.append((run_name, metrics, params))
        return f"http://mlflow/runs/{len(self.runs)}"


@pytest.fixture
def logbook() -> Logbook:
    return Logbook()


@pytest.fixture
def evaluating(watched, logbook) -> Evaluating:
    return replace(watched.app.evaluating, registry=lambda: logbook)


def write(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


TRUTH = np.array([0, 1] * 50)
WRONG = np.where(np.arange(100) < 20, 1 - TRUTH, TRUTH)  # 10 false positives, 10 false negatives


@pytest.mark.parametrize("spelling", [
    (0, 1), ("BENIGN", "DDoS"), ("false", "true"), (0.0, 1.0), (" BENIGN", " PortScan "),
])  # fmt: skip
def test_classes_may_be_numbers_words_or_truth_values(
    watched, evaluating, tmp_path, spelling: tuple[object, object]
) -> None:
    names = np.array(spelling, dtype=object)
    path = write(tmp_path / "p.csv", y_true=names[TRUTH], y_pred=names[WRONG])
    metrics = evaluating.evaluate(watched.model, path).metrics
    assert (metrics.tn, metrics.fp, metrics.fn, metrics.tp) == (40, 10, 10, 40)
    assert (metrics.accuracy, metrics.precision, metrics.recall, metrics.fpr) == (0.8, 0.8, 0.8, 0.2)
    assert metrics.roc_auc is None


def test_truth_in_words_and_predictions_in_numbers(watched, evaluating, tmp_path) -> None:
    path = write(tmp_path / "p.csv", y_true=np.where(TRUTH, "DDoS", "BENIGN"), y_pred=WRONG)
    metrics = evaluating.evaluate(watched.model, path).metrics
    assert (metrics.tn, metrics.fp, metrics.fn, metrics.tp) == (40, 10, 10, 40)


def test_an_evaluation_is_remembered_and_logged(watched, evaluating, logbook, tmp_path) -> None:
    prob = np.where(WRONG, 0.9, 0.1)
    path = write(tmp_path / "p.csv", y_true=TRUTH, y_pred=WRONG, y_prob=prob)
    evaluated = evaluating.evaluate(watched.model, path)
    # By the definition of the area: P(score of a positive > that of a negative) + half of the ties.
    assert evaluated.metrics.roc_auc == pytest.approx(0.8 * 0.8 + 0.5 * 2 * 0.8 * 0.2)
    assert len(evaluated.breaches) == 5
    stored = watched.app.store.last_performance("netflow")
    assert stored == evaluated.record
    assert (stored.rows, stored.metrics["accuracy"], stored.run_url) == (100, 0.8, "http://mlflow/runs/1")
    ((name, metrics, params),) = logbook.runs
    assert (name, metrics["fnr"], metrics["tp"]) == ("performance p.csv", 0.2, 40.0)
    assert params == {"file": "p.csv", "sha256": stored.sha256, "champion_version": "1"}


def test_mlflow_being_away_costs_the_link_alone(watched, tmp_path) -> None:
    evaluating = replace(watched.app.evaluating, registry=lambda: Logbook(away=True))
    evaluated = evaluating.evaluate(watched.model, write(tmp_path / "p.csv", y_true=TRUTH, y_pred=WRONG))
    assert evaluated.metrics.accuracy == 0.8
    assert evaluated.log_error.startswith("not logged to MLflow: MLflow (http://mlflow:5000)")
    assert (evaluated.record.run_url, watched.app.store.last_performance("netflow")) == ("", evaluated.record)


def test_a_tracking_server_that_is_down_is_one_warning(watch, run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    watched = watch('\n[mlflow]\ntracking_uri = "http://127.0.0.1:9"\n')
    done = run(watched.folder, "performance", write(tmp_path / "p.csv", y_true=TRUTH, y_pred=WRONG), "--json")
    assert done.code == 1
    assert (done.json["metrics"]["accuracy"], done.json["run_url"]) == (0.8, "")
    (line,) = done.err.splitlines()
    assert line.startswith("warning: not logged to MLflow: MLflow (http://127.0.0.1:9) refused or failed")


def test_an_alert_is_told_once_for_the_same_file(watched, evaluating, tmp_path) -> None:
    good = evaluating.evaluate(watched.model, write(tmp_path / "good.csv", y_true=TRUTH, y_pred=TRUTH))
    assert evaluating.notify(watched.model, good).action == "quiet"
    bad = evaluating.evaluate(watched.model, write(tmp_path / "bad.csv", y_true=TRUTH, y_pred=WRONG))
    assert evaluating.notify(watched.model, bad).action == "alert"
    again = evaluating.evaluate(watched.model, tmp_path / "bad.csv")
    assert evaluating.notify(watched.model, again).action == "quiet"
    assert watched.said() == [("performance", {"performance_id": bad.record.id})]


def test_alerts_on_performance_obey_a_cool_down_of_their_own_and_no_snooze_of_drift(
    watched, evaluating, tmp_path
) -> None:
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    hour = timedelta(hours=1)

    def told(number: int, after: timedelta) -> str:
        path = write(tmp_path / f"{number}.csv", y_true=TRUTH[number:], y_pred=WRONG[number:])
        then = replace(evaluating, now=lambda: noon + after)
        return then.notify(watched.model, then.evaluate(watched.model, path)).action

    assert [told(1, 0 * hour), told(2, 5 * hour), told(3, 6 * hour)] == ["alert", "quiet", "alert"]
    watched.app.store.snooze("netflow", noon + 24 * hour, "U0ANNA", noon + 6 * hour)
    assert [told(4, 11 * hour), told(5, 12 * hour)] == ["quiet", "alert"]
    assert len(watched.said()) == 3
    assert told(6, 13 * hour) == "quiet"
    last = watched.app.store.last_performance("netflow")
    assert last.path.endswith("6.csv"), "it is remembered all the same"


def test_the_command_says_what_was_decided_and_empties_the_outbox(watched, run, tmp_path) -> None:
    with (
        Workspace([User("U0ANNA", "anna", "Anna")], ["ml-alerts"]) as slack,
        pytest.MonkeyPatch.context() as env,
    ):
        env.setenv("SLACK_API_URL", slack.api_url)
        env.delenv("SLACK_BOT_TOKEN", raising=False)
        bad = write(tmp_path / "bad.csv", y_true=TRUTH, y_pred=WRONG)
        first = run(watched.folder, "performance", bad, "--notify")
        assert "Slack: alert, 5 metric(s) out of bounds; waits in the outbox for the bot" in first.err
        env.setenv("SLACK_BOT_TOKEN", slack.bot_token)
        again = run(watched.folder, "performance", bad, "--notify")
        assert "Slack: quiet, 5 metric(s) out of bounds, and this was said already" in again.err
        (said,) = slack.person("U0ANNA").messages("ml-alerts")
        assert "limits of the performance broken" in said["text"], (
            "the second command delivered for the first"
        )
        good = write(tmp_path / "good.csv", y_true=TRUTH, y_pred=TRUTH)
        fine = run(watched.folder, "performance", good, "--notify")
        assert "Slack: quiet, every metric is within its bounds" in fine.err


def test_the_bounds_are_those_of_the_configuration(watch, tmp_path, logbook) -> None:
    watched = watch("[models.performance]\nmin_accuracy = 0.5\nmin_precision = 0.85\nmax_fpr = 0.3\n")
    evaluating = replace(watched.app.evaluating, registry=lambda: logbook)
    path = write(tmp_path / "p.csv", y_true=TRUTH, y_pred=WRONG)
    found = " ".join(evaluating.evaluate(watched.model, path).breaches)
    assert "precision 0.800 is below 0.85" in found
    assert "accuracy" not in found
    assert "false positive" not in found


BAD = {
    "a probability above 1": (
        {"y_true": [0, 1], "y_pred": [0, 1], "y_prob": [0.5, 1.5]}, 'column y_prob holds "1.5" in line 3'),
    "a probability that is no number": (
        {"y_true": [0, 1], "y_pred": [0, 1], "y_prob": [0.5, "high"]}, "column y_prob holds"),
    "an empty probability": ({"y_true": [0, 1], "y_pred": [0, 1], "y_prob": [0.5, None]}, "in line 3"),
    "no y_pred": ({"y_true": [0, 1], "prediction": [0, 1]}, 'lacks "y_pred": it has "y_true", "prediction"'),
    "neither column": ({"a": [0], "b": ["x"]}, 'lacks "y_true", "y_pred"'),
    "an empty label": ({"y_true": [0, None], "y_pred": [0, 1]}, "column y_true is empty in line 3"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "said"), BAD.values(), ids=list(BAD))
def test_a_file_that_cannot_be_evaluated_is_bad_input(
    watched, run, tmp_path, columns: dict[str, list[object]], said: str
) -> None:
    done = run(watched.folder, "performance", write(tmp_path / "p.csv", **columns))
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert watched.app.store.last_performance("netflow") is None


@pytest.mark.parametrize("content", ["", "y_true,y_pred\n"])
def test_an_empty_file_is_bad_input(watched, run, tmp_path, content: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    done = run(watched.folder, "performance", tmp_path / "p.csv")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert ("is empty" in done.err) or ("no rows" in done.err)


@pytest.mark.parametrize(
    ("known", "order", "told"),
    [
        ([("BENIGN", "DDoS"), ("benign", "ddos", "scan")], ("benign", "ddos", "scan"), True),
        ([("a", "b", "c"), ("a", "c", "b")], ("a", "b", "c"), False),
        ([("a", "b"), ("a", "new", "b")], ("a", "new", "b"), False),
        ([(), ()], ("x", "y"), True),
    ],
)
def test_positions_can_be_told_where_no_class_has_moved(known, order, told):
    versions = [SimpleNamespace(record=SimpleNamespace(classes=classes)) for classes in known]
    assert _order(("x", "y"), *versions) == (order, told)
