"""Checks leave what MLflow is to be told in the state file; it is told afterwards, once, also after it was away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from bot.bootstrap import Bot, Secrets
from bot.times import utc_now
from bot.tracking import FAILURES, unreachable
from state.lock import OwnerLock
from tests.mlflow_server import free_port, serving
from trainers.base import TrainingError
from trainers.tracking import Tracking


def use(watched: Any, template: Path) -> MlflowClient:
    """A local store for a watched model."""
    shutil.copy(template, watched.app.config.home / "mlflow.db")
    uri = f"sqlite:///{watched.app.config.home / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def runs(client: MlflowClient) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("driftcatcher/netflow")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def evaluated(path: Path) -> Path:
    truth = np.array([0, 1] * 50)
    pd.DataFrame({"y_true": truth, "y_pred": truth}).to_csv(path, index=False)
    return path


def test_checks_become_runs_and_steps_of_the_champions_run(watched, traffic, mlflow_template) -> None:
    app, model = watched.app, watched.model
    client = use(watched, mlflow_template)
    drifted = app.monitoring.check(model, traffic.drifted).batch
    app.monitoring.check(model, traffic.stable)
    app.monitoring.check(model, traffic.stable)  # the same bytes: nothing new
    assert app.store.waiting_to_log("netflow") == 2
    from bot.slack.rendering import Renderer

    flushed = app.flusher(Renderer(app.config, app.store).pictures).flush()
    assert (flushed.logged, flushed.waiting, flushed.error) == (2, 0, "")
    found = runs(client)
    long_lived = found["monitoring v1"].info.run_id
    assert app.store.tracking_run("", "netflow", "1").run_id == long_lived
    verdicts = client.get_metric_history(long_lived, "verdict")
    assert [(m.step, m.value) for m in verdicts] == [(1, 2), (2, 0)]
    assert verdicts[0].timestamp == int(drifted.checked_at.timestamp() * 1000)
    overall = client.get_metric_history(long_lived, "psi.mean")[0].value
    assert overall == pytest.approx(drifted.report.overall_psi)
    assert app.monitoring.notify(model, drifted).action != "quiet"
    (item, *_) = app.store.due(utc_now(), 5)
    (post,) = Renderer(app.config, app.store).posts(item)
    assert f"/runs/{long_lived}|MLflow run>" in str(post.message.blocks)
    worst = drifted.report.drifted[0]
    own = found["check drifted.csv"]
    assert own.data.metrics[f"psi/{worst.feature}"] == pytest.approx(worst.statistic)
    assert own.data.params["sha256"] == drifted.sha256
    assert own.inputs.dataset_inputs[0].dataset.digest == drifted.sha256[:36]
    assert len(client.list_artifacts(own.info.run_id, "plots")) == 3
    assert client.list_artifacts(found["check stable.csv"].info.run_id, "plots") == []


@pytest.mark.parametrize(("how", "names"), [("steps", {"monitoring v1"}), ("off", None)])
def test_less_is_logged_where_less_is_wanted(watch, traffic, mlflow_template, how, names) -> None:
    watched = watch(f'\n[mlflow]\nlog_checks = "{how}"\n')
    client = use(watched, mlflow_template)
    watched.app.monitoring.check(watched.model, traffic.stable)
    assert watched.app.flusher().flush().logged == (how == "steps")
    experiment = client.get_experiment_by_name("driftcatcher/netflow")
    assert (experiment and set(runs(client))) == names


def test_a_check_that_cannot_be_kept_leaves_nothing_to_log(watched, traffic, monkeypatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(watched.app.store, "queue_run", full)
    with pytest.raises(OSError, match="no space"):
        watched.app.monitoring.check(watched.model, traffic.stable)
    monkeypatch.undo()
    assert watched.app.store.last_batch("netflow").state == "failed"
    assert watched.app.store.waiting_to_log() == 0


def test_a_server_that_is_away_delays_and_loses_nothing(
    watch, traffic, run, tmp_path, mlflow_template, monkeypatch
) -> None:
    port = free_port()
    watched = watch(f'\n[mlflow]\ntracking_uri = "http://127.0.0.1:{port}"\n')
    folder = watched.folder
    assert run(folder, "check", traffic.drifted).code == 1
    measured = run(folder, "performance", evaluated(tmp_path / "p.csv"), "--json")
    assert (measured.code, measured.json["run_url"]) == (0, "")
    assert "it is logged later" in measured.err
    away = run(folder, "mlflow", "--sync")
    assert (away.code, away.out) == (2, "0 logged, 2 waiting\n")
    assert f"http://127.0.0.1:{port}) refused or failed: Connection refused" in away.err
    assert "waiting for MLflow: 2" in run(folder, "status").out
    with serving(tmp_path, mlflow_template, port) as url:
        back = run(folder, "mlflow", "--sync")
        assert (back.code, back.out) == (0, "2 logged, 0 waiting\n"), back.err
        found = runs(MlflowClient(url, url))
        assert set(found) == {"monitoring v1", "check drifted.csv", "performance p.csv"}
        assert found["monitoring v1"].data.metrics["performance/accuracy"] == 1.0
        own = found["performance p.csv"].data.metrics
        assert own["accuracy"] == 1.0
        assert "performance/accuracy" not in own
        told = watched.app.store.last_performance("netflow").run_url
        assert told.endswith(found["performance p.csv"].info.run_id)
        assert run(folder, "mlflow", "--sync").out == "0 logged, 0 waiting\n"
    assert run(folder, "status", "--json").json["models"][0]["waiting_for_mlflow"] == 0


def test_one_result_that_is_refused_does_not_stop_the_others_and_a_store_that_refuses_all_is_left_alone(
    watched, traffic, mlflow_template, monkeypatch
) -> None:
    use(watched, mlflow_template)
    store, now = watched.app.store, utc_now()
    for n in range(6):
        store.queue_run("check", "netflow", "1", {"key": str(n), "steps": {"rows": n + 1}}, now)
    tried: list[int] = []
    log = Tracking.log
    bad = {2}

    def picky(self: Tracking, entry: Any, known: str | None = None, *, again: bool = False) -> Any:
        tried.append(entry.step)
        if entry.step in bad:
            raise TrainingError("not this one")
        return log(self, entry, known, again=again)

    monkeypatch.setattr(Tracking, "log", picky)
    flushed = watched.app.flusher().flush()
    assert (flushed.logged, flushed.waiting, flushed.error) == (5, 1, "not this one")
    assert watched.app.flusher().flush().logged == 0, "it waits for a while"
    bad.clear()
    later = replace_now(watched, timedelta(minutes=1)).flush()
    assert (later.logged, later.waiting) == (1, 0)
    assert tried == [1, 2, 3, 4, 5, 6, 2]

    tried.clear()
    bad |= set(range(20))
    for n in range(6, 12):
        store.queue_run("check", "netflow", "1", {"key": str(n), "steps": {"rows": n + 1}}, now)
    assert (watched.app.flusher().flush().waiting, len(tried)) == (6, FAILURES)


def replace_now(watched: Any, later: timedelta) -> Any:
    flusher = watched.app.flusher()
    flusher.now = lambda: utc_now() + later
    return flusher


def test_two_at_once_do_not_log_twice(watched, traffic) -> None:
    watched.app.monitoring.check(watched.model, traffic.stable)
    with OwnerLock(watched.app.config.state_path.with_suffix(".tracking")):
        flushed = watched.app.flusher().flush()
    assert (flushed.logged, flushed.waiting) == (0, 1)
    assert "another process" in flushed.error


def test_the_bot_asks_a_store_that_is_away_less_and_less_often(watch, traffic, caplog, monkeypatch) -> None:
    watched = watch(f'\n[mlflow]\ntracking_uri = "http://127.0.0.1:{free_port()}"\n')
    watched.app.monitoring.check(watched.model, traffic.stable)
    bot = Bot(watched.app, Secrets("xoxb", "xapp", ""))
    bot._flusher = watched.app.flusher()
    at = utc_now()
    asked: list[int] = []
    for second in range(0, 600, 30):
        monkeypatch.setattr("bot.bootstrap.utc_now", lambda s=second: at + timedelta(seconds=s))
        before = len(caplog.records)
        bot._track()
        asked += [second] * (len(caplog.records) - before)
    assert asked == [0, 60, 180, 420]
    assert "1 results wait to be logged" in caplog.text


def test_a_retrain_is_a_child_of_the_run_that_asked_for_it(watched, traffic, mlflow_template) -> None:
    from bot.jobs import job_for

    use(watched, mlflow_template)
    app, model = watched.app, watched.model
    app.monitoring.check(model, traffic.drifted)
    shutil.copy(traffic.labelled, model.labeled)
    from bot.labelling import waiting

    files = [file.data_file() for file in waiting(model, app.store)]
    retrain = app.retraining.approve(model, files, "U0ANNA", why="new attacks")
    assert "mlflow.parentRunId" not in job_for(app.config, app.store, retrain).tags
    app.flusher().flush()
    job = job_for(app.config, app.store, retrain)
    assert job.tags["mlflow.parentRunId"] == app.store.tracking_run("", "netflow", "1").run_id
    origin = job.origin
    assert (origin.by, origin.why, origin.retrain) == ("U0ANNA", "new attacks", retrain.id)
    assert origin.project == str(watched.folder)
    assert replace(job, origin=origin) == type(job).from_json(job.to_json())


def test_only_servers_are_asked_whether_they_are_there(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert unreachable("") == unreachable("sqlite:////nowhere/mlflow.db") == unreachable("databricks") == ""
    said = unreachable(f"http://ann:secret@127.0.0.1:{free_port()}")
    assert "Connection refused" in said
    assert "secret" not in said
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    assert unreachable(f"http://127.0.0.1:{free_port()}") == "", "what a proxy reaches is not for us to tell"


def test_neither_a_check_nor_the_status_loads_mlflow(watched, traffic) -> None:
    script = (
        "import sys; from bot.cli import cli\n"
        "for words in (['check', sys.argv[1]], ['status']):\n"
        "    try: cli.main(words, standalone_mode=False)\n"
        "    except SystemExit: pass\n"
        "assert 'mlflow' not in sys.modules and 'sqlalchemy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(traffic.stable)],
        cwd=watched.folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "waiting for MLflow: 1" in done.stdout
