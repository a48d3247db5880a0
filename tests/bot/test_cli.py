"""The command line on a watched model: results on stdout, the rest on stderr, and the exit statuses."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import sys

import pandas as pd
import pytest

from bot.config import FILE_NAME

CHECK_KEYS = [
    "model",
    "batch",
    "baseline_version",
    "verdict",
    "overall_psi",
    "recommendation",
    "features",
    "errors",
]
FEATURE_KEYS = {"feature", "detector", "statistic", "p_value", "severity", "drifted"}


def one_line(text: str) -> str:
    """The only line of standard error."""
    (line,) = text.splitlines()
    return line


def test_a_stable_batch_is_fine(watched, traffic, run) -> None:
    done = run(watched.folder, "check", traffic.stable)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("netflow: stable  (recommendation: none)\n")
    assert "stable.csv, 1,200 rows, against the baseline of version 1" in done.out
    assert "ignored" not in done.out, "the configured columns that are no features are nothing to remark"


def test_a_drifted_batch_is_found_worst_feature_first(watched, traffic, run) -> None:
    done = run(watched.folder, "check", traffic.drifted)
    assert (done.code, done.err) == (1, "")
    assert "netflow: drift  (recommendation: label)" in done.out
    scores = [float(s) for s in re.findall(r"PSI (\d\.\d+)  p", done.out)]
    assert len(scores) == 15
    assert all(a > b - 0.01 for a, b in itertools.pairwise(scores)), "up to the size correction"
    assert "more (--json has all)" in done.out


def test_json_is_the_documented_object_and_nothing_else(watched, traffic, shell) -> None:
    done = shell(watched.folder, "-v", "check", traffic.drifted, "--json")
    assert done.code == 1
    found = done.json
    assert list(found)[: len(CHECK_KEYS)] == CHECK_KEYS
    assert found["batch"].keys() == {"path", "sha256", "rows"}
    assert (found["model"], found["batch"]["rows"]) == ("netflow", 1200)
    assert found["batch"]["path"] == str(traffic.drifted)
    assert (found["verdict"], found["recommendation"], found["errors"]) == ("drift", "label", [])
    assert found["baseline_version"] == "1"
    assert len(found["features"]) == 27
    assert all(f.keys() >= FEATURE_KEYS for f in found["features"])
    assert {f["severity"] for f in found["features"]} <= {"none", "moderate", "significant"}
    effects = [f["effect"] for f in found["features"] if f["drifted"]]
    assert effects == sorted(effects, reverse=True)
    assert found["overall_psi"] == pytest.approx(
        sum(f["statistic"] for f in found["features"]) / len(found["features"])
    )


def test_a_file_is_stored_once_and_the_second_check_says_so(watched, traffic, run, tmp_path) -> None:
    first = run(watched.folder, "check", traffic.stable, "--json").json
    copy = tmp_path / "the same under another name.csv"
    shutil.copy(traffic.stable, copy)
    again = run(watched.folder, "check", copy)
    assert again.code == 0
    assert "These bytes were checked before, as stable.csv at" in again.out
    assert "nothing was stored twice" in again.out
    second = run(watched.folder, "check", copy, "--json").json
    assert second == {**first, "batch": {**first["batch"], "path": str(copy)}}
    assert watched.app.store.counters("netflow")["batches"] == 1


def test_the_recommendation_follows_the_labels_that_have_come_since(watched, traffic, run) -> None:
    def advice() -> str:
        return str(run(watched.folder, "check", traffic.drifted, "--json").json["recommendation"])

    assert advice() == "label"
    shutil.copy(traffic.labelled, watched.model.labeled / "analyst.csv")
    assert advice() == "retrain"
    (watched.model.labeled / "analyst.csv").unlink()
    assert advice() == "label"
    assert watched.app.store.counters("netflow")["batches"] == 1


def test_the_classic_policy_recommends_to_retrain_by_the_mean_alone(watch, traffic, run) -> None:
    folder = watch('policy = "classic"').folder
    drifted = run(folder, "check", traffic.drifted, "--json")
    assert drifted.code == 1
    assert drifted.json["overall_psi"] > 0.2
    assert (drifted.json["verdict"], drifted.json["recommendation"]) == ("drift", "retrain")
    stable = run(folder, "check", traffic.stable, "--json")
    assert stable.code == 0
    assert stable.json["overall_psi"] <= 0.1
    assert (stable.json["verdict"], stable.json["recommendation"]) == ("stable", "none")


def test_notify_without_a_token_keeps_the_alert_for_the_bot(watched, traffic, run, monkeypatch) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    first = run(watched.folder, "check", traffic.drifted, "--json", "--notify")
    assert first.code == 1
    assert first.json["verdict"] == "drift"
    assert "Slack: open, the verdict is drift; " in first.err
    assert "SLACK_BOT_TOKEN" in one_line(first.err)
    again = run(watched.folder, "check", traffic.drifted, "--notify")
    assert one_line(again.err) == "Slack: quiet, this batch has been reported already"
    kinds = [kind for kind, _ in watched.said()]
    assert kinds.count("incident") == 1


def test_notify_tells_of_a_file_that_cannot_be_checked(watched, run, tmp_path) -> None:
    empty = tmp_path / "today.csv"
    empty.touch()
    for action in ("alert", "quiet"):
        done = run(watched.folder, "check", empty, "--notify")
        assert (done.code, f"Slack: {action}" in done.err) == (2, True)
        assert "error: " in done.err and "is empty" in done.err
    assert [kind for kind, _ in watched.said()] == ["failed_batches"]


def test_notify_tells_of_a_file_whose_bytes_cannot_be_read(watched, run, tmp_path) -> None:
    path = tmp_path / "sick.csv"
    path.symlink_to("/proc/self/mem")  # a regular file whose first byte cannot be read: EIO
    if not path.is_file():
        pytest.skip("there is no /proc here")
    done = run(watched.folder, "check", path, "--notify")
    assert (done.code, "Slack: alert" in done.err, "Input/output error" in done.err) == (2, True, True)
    gone = run(watched.folder, "check", tmp_path / "gone.csv", "--notify")
    assert (gone.code, "does not exist" in gone.err or "No such file" in gone.err) == (2, True)
    assert [kind for kind, _ in watched.said()] == ["failed_batches"]


def test_notify_needs_a_channel(watch, traffic, run) -> None:
    folder = watch().folder
    config = folder / "driftcatcher.toml"
    config.write_text(config.read_text().replace('channel = "ml-alerts"', ""))
    for command in (("check", traffic.drifted), ("performance", traffic.drifted)):
        done = run(folder, *command, "--notify")
        assert (done.code, "no channel is configured" in done.err) == (2, True)


def test_four_checks_at_the_same_moment_store_one_batch_and_one_alert(watched, traffic) -> None:
    command = [sys.executable, "-m", "bot", "check", str(traffic.drifted), "--notify", "--json"]
    running = [
        subprocess.Popen(command, cwd=watched.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ended = [(*child.communicate(timeout=120), child.returncode) for child in running]
    assert [code for _, _, code in ended] == [1] * 4, ended
    assert len({out for out, _, _ in ended}) == 1, "all four print the same result"
    counters = watched.app.store.counters("netflow")
    assert (counters["batches"], counters["alerts"]) == (1, 1)


BAD_INPUT = {
    "no such file": (("check", "nowhere.csv"), "nowhere.csv cannot be read: No such file"),
    "a folder": (("check", "inbox"), "is a folder without data files"),
    "no file named": (("check",), "Missing argument 'FILE'. See `driftcatcher check --help`."),
    "unknown option": (("check", "x.csv", "--jsn"), "No such option"),
    "unknown command": (("chek",), "No such command 'chek'"),
    "unknown model": (("check", "x.csv", "--model", "fraud"), 'no model is called "fraud"; configured: netflow'),
    "unknown model in status": (("status", "--model", "fraud"), 'no model is called "fraud"'),
    "a version that is no number": (("promote", "two"), "'two' is not a valid integer"),
    "a version that is not there": (("promote", "7"), "netflow has no version 7; its versions: 1"),
    "retrain without files": (("retrain",), "Missing option '--new-labeled-data'"),
    "retrain on nothing": (("retrain", "--new-labeled-data", "nowhere.csv"), "nowhere.csv"),
    "performance of nothing": (("performance", "nowhere.csv"), "nowhere.csv"),
    "no such configuration": (("--config", "other.toml", "status"), "other.toml: there is no such file"),
    "a port that is none": (("mlflow", "--port", "70000"), "70000"),
    "init over a configuration": (("init",), "--force overwrites it"),
}  # fmt: skip


@pytest.mark.parametrize("words", BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_one_clear_line(watched, run, words: tuple[tuple[str, ...], str]) -> None:
    command, said = words
    done = run(watched.folder, *command)
    assert (done.code, done.out) == (2, "")
    assert one_line(done.err).startswith("error: ")
    assert said in done.err


def test_refusals_have_their_own_status(watched, traffic, run) -> None:
    over = run(watched.folder, "train", "--base-data", traffic.base)
    assert (over.code, over.out) == (3, "")
    assert one_line(over.err).startswith(
        'refused: "netflow" has a trained version: use `driftcatcher retrain`'
    )
    back = run(watched.folder, "rollback")
    assert (back.code, back.out) == (3, "")
    assert one_line(back.err) == "refused: netflow has no earlier version to go back to"
    first = run(watched.folder, "promote", 1)
    assert (first.code, first.out) == (3, "")
    assert "was not made by a retrain" in one_line(first.err)


def test_a_labelled_file_without_the_label_is_told_before_anything_is_queued(watched, traffic, run) -> None:
    done = run(watched.folder, "retrain", "--new-labeled-data", traffic.labelled, traffic.drifted)
    assert (done.code, done.out) == (2, "")
    assert 'drifted.csv has no label column "Label"' in one_line(done.err)
    assert watched.app.store.retrains("netflow", 5) == ()


def test_a_model_that_is_not_trained_yet(watch, traffic, run) -> None:
    folder = watch('\n[[models]]\nname = "fresh"\nlabel = { column = "y", negative = ["0"] }\n').folder
    done = run(folder, "check", traffic.stable, "--model", "fresh")
    assert (done.code, done.out) == (2, "")
    assert "driftcatcher train --model fresh" in one_line(done.err)
    assert "fresh: not trained yet" in run(folder, "status", "--model", "fresh").out


def test_several_models_need_a_name(watch, traffic, run) -> None:
    folder = watch('\n[[models]]\nname = "fresh"\nlabel = { column = "y", negative = ["0"] }\n').folder
    for command in ("check", "performance"):
        done = run(folder, command, traffic.stable)
        assert done.code == 2
        assert "several models are configured, name one: netflow, fresh" in one_line(done.err)
    assert run(folder, "check", traffic.stable, "--model", "netflow").code == 0
    both = run(folder, "status", "--json").json["models"]
    assert [m["model"] for m in both] == ["netflow", "fresh"]
    assert [m["champion_version"] for m in both] == [1, None]


def test_a_configuration_with_several_errors_names_them_all(tmp_path, run) -> None:
    (tmp_path / FILE_NAME).write_text('home = 3\n[slack]\nchanel = "x"\n')
    done = run(tmp_path, "status")
    assert (done.code, done.out) == (2, "")
    head, *problems = done.err.splitlines()
    assert head == f"error: {tmp_path / FILE_NAME}: 3 problems"
    assert [p.split(":")[0].strip() for p in problems] == ["home", "slack.chanel", "models"]


def test_the_configuration_can_be_named_by_the_environment(watched, run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DRIFTCATCHER_CONFIG", str(watched.folder / FILE_NAME))
    assert "netflow: champion version 1" in run(tmp_path, "status").out


def test_a_state_file_that_is_none_is_bad_configuration(watched, run) -> None:
    home = watched.folder / "other"
    home.mkdir()
    (home / "state.db").write_text("this is not a database, and long enough to be seen as none" * 20)
    config = watched.folder / "other.toml"
    config.write_text((watched.folder / FILE_NAME).read_text().replace('home = "home"', 'home = "other"'))
    done = run(watched.folder, "--config", config, "status")
    assert (done.code, done.out) == (2, "")
    assert "state.db" in one_line(done.err)
    assert (home / "state.db").read_text().startswith("this is not"), "a foreign file is left as it is"


def test_a_damaged_baseline_says_how_to_get_it_back(watched, traffic, run) -> None:
    record = watched.app.store.champion("netflow").record
    with sqlite3.connect(watched.app.config.state_path) as state:
        (text,) = state.execute("SELECT record FROM versions").fetchone()
        elsewhere = str(watched.folder / "gone.npz")
        state.execute("UPDATE versions SET record = ?", [text.replace(record.baseline_path, elsewhere)])
    done = run(watched.folder, "check", traffic.stable)
    assert (done.code, done.out) == (2, "")
    assert "baseline of netflow version 1 cannot be used" in one_line(done.err)
    assert "MLflow run" in done.err


def test_serve_without_tokens_names_what_is_missing(watched, run, monkeypatch) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.delenv(name, raising=False)
    done = run(watched.folder, "serve")
    assert (done.code, done.out) == (2, "")
    assert all(name in one_line(done.err) for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"))


def test_the_detectors_are_listed_with_their_parameters(tmp_path, run) -> None:
    done = run(tmp_path, "detectors")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^psi: .+\n +parameters: moderate=0\.1, significant=0\.2$", done.out, re.MULTILINE)
    assert re.search(r"^ks: .+\n +parameters: moderate=0\.126, significant=0\.177$", done.out, re.MULTILINE)


def test_the_manifest_is_json_for_either_mode(tmp_path, run) -> None:
    socket = json.loads(run(tmp_path, "manifest").out)
    http = json.loads(run(tmp_path, "manifest", "--url", "https://drift.example/slack/events").out)
    assert socket["settings"]["socket_mode_enabled"] is True
    assert http["settings"]["socket_mode_enabled"] is False
    assert "https://drift.example/slack/events" in json.dumps(http)


@pytest.mark.parametrize("words", [["--help"], ["check", "-h"], ["--version"]])
def test_help_is_fine_and_on_stdout(tmp_path, run, words: list[str]) -> None:
    done = run(tmp_path, *words)
    assert (done.code, done.err) == (0, "")
    assert "driftcatcher" in done.out


def test_without_a_command_the_help_is_shown(tmp_path, run) -> None:
    done = run(tmp_path)
    assert done.code in (0, 2)  # which, depends on the version of click
    assert "Commands:" in done.out + done.err


def test_a_pipe_that_closes_early_is_no_traceback(watched, traffic) -> None:
    line = f'"{sys.executable}" -m bot check "{traffic.drifted}" --json | true'
    done = subprocess.run(line, shell=True, cwd=watched.folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


LIGHT = "import sys; from bot.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(*sys.modules)"


@pytest.mark.parametrize("command", ["check", "status", "lineage"])
def test_what_runs_often_loads_nothing_heavy(watch, traffic, command: str) -> None:
    watched = watch("[models.detectors.psi]")
    words = {"check": ["check", str(traffic.drifted)], "status": ["status"], "lineage": ["lineage", "1"]}[
        command
    ]
    if command == "status":  # with a report to tell of
        subprocess.run(
            [sys.executable, "-m", "bot", "check", str(traffic.stable)], cwd=watched.folder, check=True
        )
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], cwd=watched.folder, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "bot.cli" in loaded
    heavy = {"mlflow", "slack_bolt", "slack_sdk", "sklearn", "matplotlib", "scipy.stats", "pandas"}
    if command != "check":
        heavy |= {"numpy", "pyarrow", "scipy", "asyncio"}  # half a second is all it has
    assert not loaded & heavy


def test_an_alert_that_only_warns_still_counts_as_found(watched, traffic, run, tmp_path) -> None:
    batch = pd.read_csv(traffic.stable)
    shifted = batch["Dst Port"].to_numpy().copy()
    shifted[: len(shifted) // 8] = 31_337  # a port that was never seen, in one row of eight
    path = tmp_path / "moderate.csv"
    batch.assign(**{"Dst Port": shifted}).to_csv(path, index=False)
    done = run(watched.folder, "check", path, "--json")
    assert done.code == 1
    assert done.json["verdict"] in ("warning", "drift")
    assert done.json["features"][0]["feature"] == "Dst Port"


def test_too_few_rows_say_how_many_would_do(watched, traffic, run, tmp_path) -> None:
    path = tmp_path / "few.csv"
    pd.read_csv(traffic.stable).head(12).to_csv(path, index=False)
    done = run(watched.folder, "check", path)
    assert done.code == 0
    assert done.out.startswith("netflow: insufficient data  (recommendation: none)")
    assert re.search(r"\d+ rows would be enough for a verdict", done.out)
