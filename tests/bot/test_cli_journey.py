"""The five-minute try from a terminal, with real MLflow: from `init` to `rollback`, each command on the way."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from bot.demo.traffic import IDENTIFIERS, LABEL_COLUMN
from bot.progress import WORTH_A_BAR
from trainers.mlflow_registry import MlflowRegistry


def test_init_wrote_the_configuration_and_train_made_the_champion(trained_once) -> None:
    done = trained_once.printed
    assert done.code == 0, done.err
    made = done.json
    assert (made["model"], made["version"]) == ("my-model", 1)
    assert Path(made["baseline_path"]).is_file()
    assert made["evaluations"][0]["metrics"]["accuracy"] > 0.9
    assert [Path(f["path"]).name for f in made["data"]] == ["base.csv"]
    assert "training hist_gradient_boosting on" in done.err, "progress goes to standard error"


def test_the_whole_journey(trained, traffic, run) -> None:
    folder = trained.folder
    assert run(folder, "check", traffic.stable).code == 0
    assert run(folder, "check", traffic.drifted).code == 1

    hoped = run(folder, "expect", "--new-labeled-data", traffic.labelled)
    assert (hoped.code, hoped.out.splitlines()[0][:31]) == (0, "Expected on new data: accuracy "), hoped.err

    shown = run(folder, "retrain", "--new-labeled-data", traffic.labelled)
    assert shown.code == 0, shown.err
    assert "points of accuracy were expected" in shown.out
    assert re.search(r"\n  New +\d+ +\d.* → .*better \(p < 0.001\)", shown.out)
    assert re.search(r"champion,   old hold-out .*\n  challenger, old hold-out", shown.out)
    assert re.search(r"champion,   new hold-out .*\n  challenger, new hold-out", shown.out)
    assert "Recommendation: promote." in shown.out
    assert "To use it: driftcatcher promote 2" in shown.out
    assert "measuring the current and the new model" in shown.err
    assert "champion version 1" in run(folder, "status").out, "nothing moves before somebody promotes"

    cooling = run(folder, "retrain", "--new-labeled-data", traffic.labelled)
    assert (cooling.code, cooling.out) == (3, "")
    assert "not again before" in cooling.err
    assert len(cooling.err.splitlines()) == 1

    promoted = run(folder, "promote", 2, "--why", "knows the new attacks")
    assert (promoted.code, promoted.out) == (0, "my-model version 2 is the champion.\n")
    registry = MlflowRegistry(folder / ".driftcatcher")
    assert registry.alias("my-model", "champion") == 2
    again = run(folder, "promote", 2)
    assert (again.code, len(again.err.splitlines())) == (3, 1)
    after = run(folder, "check", traffic.drifted, "--json")
    assert after.json["baseline_version"] == "2", "the baseline moves with the model"

    newer = run(folder, "rollback", 7)
    assert (newer.code, newer.err) == (3, "refused: my-model has no version 7\n")
    back = run(folder, "rollback", 1, "--why", "only trying")
    assert (back.code, back.out) == (0, "my-model version 1 is the champion again.\n")
    assert registry.alias("my-model", "champion") == 1
    forward = run(folder, "rollback", 2)
    assert (forward.code, "newer than version 1: promote it instead" in forward.err) == (3, True)

    status = run(folder, "status", "--json").json["models"][0]
    assert (status["champion_version"], status["last_check"]["verdict"]) == (1, after.json["verdict"])
    assert status["retrain_cooldown_until"] is not None
    counters = status["counters"]
    assert [counters[n] for n in ("batches", "retrains", "promotions", "rollbacks")] == [3, 1, 1, 1]
    assert [p["verdict"] for p in status["history"]][1:] == ["drift", "stable"]


def test_lineage_and_reproduction_of_a_version_that_was_retrained_promoted_and_taken_back(
    trained, traffic, run
) -> None:
    folder = trained.folder
    assert run(folder, "retrain", "--new-labeled-data", traffic.labelled).code == 0
    assert run(folder, "promote", 2, "--why", "knows the new attacks").code == 0
    assert run(folder, "rollback", "--why", "only trying").code == 0

    told = run(folder, "lineage", 2)
    assert told.code == 0, told.err
    for words in (
        "my-model version 2, trained ",
        "not the champion",
        "trainer      hist_gradient_boosting max_iter=100",
        f"old data     {traffic.base}, 3,000 rows, SHA-256 ",
        f"new data     {traffic.labelled}, 600 rows, SHA-256 ",
        "labels       column Label, negative BENIGN",
        "scikit-learn 1.",
        "gate said    promote: ",
        "version 2, ",
        "from version 1 and labelled.csv (600 rows)",
        "from base.csv (3,000 rows)",
        ": knows the new attacks",
        "rolled back to version 1 by cli:",
    ):
        assert words in told.out, (words, told.out)
    found = run(folder, "lineage", 2, "--json").json
    assert [a["version"] for a in found["ancestors"]] == [2, 1]
    assert [m["what"] for m in found["moves"]] == ["promoted", "rolled back from"]
    assert found["lineage"]["origin"]["project"] == str(folder)
    assert found["lineage"]["origin"]["by"] == found["retrain"]["approved_by"]
    assert found["lineage"]["origin"]["retrain"] == found["retrain"]["id"] == 1

    for version, rows in ((1, "old hold-out rows."), (2, "old and ")):
        again = run(folder, "reproduce", version)
        assert (again.code, again.out.count("is reproduced")) == (0, 1), again.out
        assert rows in again.out
        assert "training hist_gradient_boosting on" in again.err
    assert "waiting for MLflow: 2" in run(folder, "status").out
    assert run(folder, "mlflow", "--sync").out == "2 logged, 0 waiting\n"
    uri = f"sqlite:///{folder / '.driftcatcher' / 'mlflow.db'}"
    tags = [MlflowClient(uri, uri).get_model_version("my-model", str(version)).tags for version in (1, 2)]
    assert tags[1]["driftcatcher.promoted"].endswith(": knows the new attacks")
    assert tags[0]["driftcatcher.restored"] == tags[1]["driftcatcher.rolled_back"]
    assert tags[0]["driftcatcher.restored"].endswith("UTC: only trying")
    moved = traffic.labelled.read_bytes()
    assert run(folder, "reproduce", 3).code == 3
    assert "its versions: 1, 2" in run(folder, "lineage", 3).err
    traffic.labelled.write_bytes(moved + b"\n")
    try:
        changed = run(folder, "reproduce", 2)
    finally:
        traffic.labelled.write_bytes(moved)
    assert (changed.code, changed.out) == (2, "")
    assert "labelled.csv has changed since it was chosen" in changed.err.splitlines()[-1]
    assert run(folder, "status", "--json").json["models"][0]["champion_version"] == 1


def test_a_version_that_comes_out_otherwise_says_so(trained, run) -> None:
    database = sqlite3.connect(trained.folder / ".driftcatcher" / "state.db")
    with database:
        (record,) = database.execute("SELECT record FROM versions").fetchone()
        edited = json.loads(record)
        edited["evaluations"][0]["metrics"]["accuracy"] = 0.5
        edited["lineage"]["environment"]["numpy"] = "1.0"
        database.execute("UPDATE versions SET record = ?", (json.dumps(edited),))
    database.close()
    found = run(trained.folder, "reproduce", 1)
    assert found.code == 1
    assert "NOT reproduced" in found.out
    assert "  accuracy on the old hold-out: 0.5 then, " in found.out
    assert "What may be why:\n  numpy: 1.0 then, " in found.out
    as_json = run(trained.folder, "reproduce", 1, "--json")
    assert (as_json.code, as_json.json["same"]) == (1, False)
    assert [d["what"] for d in as_json.json["differences"]] == ["accuracy on the old hold-out"]


def test_several_files_an_option_and_promotion_at_once(trained, traffic, run, tmp_path) -> None:
    labelled = pd.read_csv(traffic.labelled)
    parts = [tmp_path / "a.csv", tmp_path / "b.csv"]
    labelled[:300].to_csv(parts[0], index=False)
    labelled[300:].to_csv(parts[1], index=False)
    done = run(trained.folder, "retrain", "--new-labeled-data", *parts, "--promote", "--json")
    assert done.code == 0, done.err
    assert (done.json["state"], done.json["recommendation"]) == ("promoted", "promote")
    names = [Path(f["path"]).name for f in done.json["version"]["data"]]
    assert names == ["base.csv", "a.csv", "b.csv"]

    forced = run(
        trained.folder, "train", "--base-data", traffic.base, parts[0], "--new-data", parts[1], "--force", "--json"
    )  # fmt: skip
    assert forced.code == 0, forced.err
    assert [e["holdout"] for e in forced.json["evaluations"]] == ["old", "new"]
    assert [Path(f["path"]).name for f in forced.json["data"]] == names
    assert "champion version 3" in run(trained.folder, "status").out


def test_training_on_files_that_do_not_fit_is_bad_input(trained, traffic, run, tmp_path) -> None:
    one_sided = tmp_path / "benign.csv"
    base = pd.read_csv(traffic.base)
    base[base[LABEL_COLUMN] == "BENIGN"].to_csv(one_sided, index=False)
    for words, said in (
        (["--base-data", traffic.stable], "Label"),
        (["--base-data", tmp_path / "none.csv"], "none.csv"),
        (["--base-data", one_sided], "class"),
    ):
        done = run(trained.folder, "train", "--force", *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.err.splitlines()[-1]
        assert "Traceback" not in done.err
    assert "champion version 1" in run(trained.folder, "status").out


def predictions(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_good_predictions_are_fine_and_degraded_ones_found_and_logged(trained, run, tmp_path) -> None:
    truth = np.array([0, 1] * 100)
    good = predictions(tmp_path / "good.csv", y_true=truth, y_pred=truth)
    done = run(trained.folder, "performance", good)
    assert done.code == 0, done.err
    assert "accuracy 1.0000" in done.out
    assert "roc_auc" not in done.out, "there are no probabilities"
    assert "100 true negatives, 0 false positives" in done.out

    guessed = truth.copy()
    guessed[:60] = 1  # 30 false positives
    words = np.where(truth == 1, "DDoS", "BENIGN"), np.where(guessed == 1, "DDoS", "BENIGN")
    bad = predictions(tmp_path / "bad.csv", y_true=words[0], y_pred=words[1], y_prob=0.2 + 0.6 * guessed)
    found = run(trained.folder, "performance", bad, "--json")
    assert found.code == 1
    assert found.json["degraded"] is True
    assert found.json["metrics"]["accuracy"] == pytest.approx(0.85)
    assert found.json["metrics"]["fpr"] == pytest.approx(0.30)
    assert [found.json["metrics"][c] for c in ("tn", "fp", "fn", "tp")] == [70, 30, 0, 100]
    assert found.json["metrics"]["roc_auc"] == pytest.approx(0.85)
    assert any("accuracy 0.850 is below 0.9" in b for b in found.json["breaches"])

    run_id = found.json["run_url"].rsplit("/", 1)[-1]
    logged = MlflowClient(f"sqlite:///{trained.folder / '.driftcatcher' / 'mlflow.db'}").get_run(run_id)
    assert logged.data.metrics["accuracy"] == pytest.approx(0.85)
    assert logged.data.metrics["fpr"] == pytest.approx(0.30)
    assert logged.data.params["file"] == "bad.csv"
    assert logged.info.status == "FINISHED"
    status = run(trained.folder, "status")
    assert "200 rows, accuracy 0.8500" in status.out


def wait_for(url: str, child: subprocess.Popen[bytes]) -> bytes:
    for _ in range(600):
        assert child.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")


def test_the_mlflow_ui_serves_the_projects_store_and_ends_with_ctrl_c(trained) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bot", "mlflow", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=trained.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            assert wait_for(f"http://127.0.0.1:{port}/health", child) == b"OK"
            name = "ajax-api/2.0/mlflow/registered-models/get?name=my-model"
            assert b'"champion"' in wait_for(f"http://127.0.0.1:{port}/{name}", child)
        finally:
            child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0, "no child of the server is left behind"


def test_the_mlflow_ui_is_not_started_beside_a_tracking_server(watch, run) -> None:
    folder = watch('\n[mlflow]\ntracking_uri = "http://127.0.0.1:9"\n').folder
    done = run(folder, "mlflow", "--port", 5999)
    assert (done.code, done.out) == (2, "")
    assert "open http://127.0.0.1:9 in a browser" in done.err.splitlines()[-1]


def test_a_big_file_draws_a_bar_on_a_terminal_and_json_stays_clean(watched, traffic, tmp_path) -> None:
    text = traffic.stable.read_text().splitlines(keepends=True)
    big = tmp_path / "big.csv"
    with big.open("w") as file:
        file.write(text[0])
        while file.tell() <= WORTH_A_BAR:
            file.writelines(text[1:])
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "bot", "check", str(big), "--json"]
    with subprocess.Popen(command, cwd=watched.folder, stdout=subprocess.PIPE, stderr=slave) as child:
        os.close(slave)
        drawn = b""
        while piece := _read(master):
            drawn += piece
        out = child.communicate(timeout=120)[0]
    os.close(master)
    assert b"reading big.csv" in drawn
    assert b"100%" in drawn
    assert re.search(rb"\s[1-9]\d?%", drawn), "the bar moves on the way"
    assert out.count(b"\n") == 1
    assert out.startswith(b'{"model": "netflow"')
    assert str(IDENTIFIERS[0]).encode() not in drawn


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other side is closed
        return b""
