from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from slack_sdk import WebClient

from trainers.base import Gate
from trainers.dvc import dvc_revision
from trainers.lineage import Origin, Source, data_digest, environment, seed_of
from trainers.pipeline import retrain, train
from trainers.sklearn_trainers import LogisticRegression

TABLE = {"use": "logistic_regression", "C": 0.5}


def git(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository that is a DVC project, with one file in it."""
    folder = tmp_path / "repository"
    (folder / ".dvc").mkdir(parents=True)
    git(tmp_path, "init", "-q", str(folder))
    (folder / "driftcatcher.toml").write_text("# a project\n")
    git(folder, "add", "driftcatcher.toml")
    git(folder, "commit", "-qm", "first")
    return folder


def tracked(file: Path, pointer: Path, text: str) -> str:
    """Commit a pointer; returns the commit."""
    pointer.write_text(text)
    git(pointer.parent, "add", pointer.name)
    git(pointer.parent, "commit", "-qm", pointer.name)
    return git(pointer.parent, "rev-parse", "HEAD")


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def test_a_file_of_dvc_add_has_its_hash_and_the_commit_that_holds_it(repository):
    file = repository / "data" / "flows.csv"
    file.parent.mkdir()
    file.write_text("a,b\n1,2\n")
    pointer = file.with_name("flows.csv.dvc")
    entry = f"outs:\n- md5: {md5(file)}\n  size: 8\n  hash: md5\n  path: flows.csv\n"
    commit = tracked(file, pointer, entry)
    (repository / "driftcatcher.toml").write_text("# later\n")
    git(repository, "commit", "-qam", "later")
    found = dvc_revision(file)
    assert found is not None
    assert (found.pointer, found.md5, found.commit, found.matches) == (str(pointer), md5(file), commit, True)
    file.write_text("a,b\n1,3\n")
    assert dvc_revision(file).matches is False, "edited since `dvc add`"
    pointer.write_text(entry.replace("size: 8", "size: 9"))
    assert dvc_revision(file).commit == "", "the pointer is not committed as it is"


def test_an_output_of_a_stage_is_found_in_the_lock_under_the_folder_the_stage_runs_in(repository):
    file = repository / "work" / "out" / "new.csv"
    file.parent.mkdir(parents=True)
    file.write_text("a\n1\n")
    (repository / "dvc.yaml").write_text("stages:\n  make:\n    wdir: work\n    cmd: make\n    outs: [out]\n")
    lock = f"schema: '2.0'\nstages:\n  make:\n    cmd: make\n    outs:\n    - path: out\n      md5: {'ab' * 16}.dir\n"
    commit = tracked(file, repository / "dvc.lock", lock)
    found = dvc_revision(file)
    assert (found.md5, found.commit, found.matches) == ("ab" * 16 + ".dir", commit, None)
    assert dvc_revision(repository / "work" / "other.csv") is None


def test_what_is_no_pointer_says_nothing(repository, tmp_path):
    file = repository / "flows.csv"
    file.write_text("a\n1\n")
    for text in ("outs: [", "- a list", "outs:\n- path: flows.csv\n", "outs: 3\n", "stages: {make: 4}\n"):
        file.with_name("flows.csv.dvc").write_text(text)
        assert dvc_revision(file) is None
    outside = tmp_path / "flows.csv"
    outside.write_text("a\n1\n")
    outside.with_name("flows.csv.dvc").write_text(f"outs:\n- md5: {md5(outside)}\n  path: flows.csv\n")
    assert dvc_revision(outside) is None, "in no DVC project"


def test_the_environment_names_what_can_change_a_number_and_where_a_plug_in_is_from():
    found = environment(LogisticRegression())
    for name in ("numpy", "scikit-learn", "mlflow"):
        assert found[name] == version(name)
    assert "slack_sdk" not in found

    @dataclass
    class Wrapped:
        trainer: object

    plugin = WebClient()  # of a distribution whose name is not that of the module
    assert environment(plugin)["slack_sdk"] == version("slack_sdk")
    assert environment(Wrapped(plugin))["slack_sdk"] == version("slack_sdk")


def test_the_digest_is_of_rows_columns_and_labels(flows):
    frame, labels = flows(20).drop(columns="label"), np.arange(20) % 2
    digest = data_digest(frame, labels)
    assert data_digest(frame.copy(), labels.copy()) == digest
    for other in (frame.assign(rate=frame["rate"] + 1e-9), frame.rename(columns={"rate": "r"}), frame[::-1]):
        assert data_digest(other, labels) != digest
    assert data_digest(frame, 1 - labels) != digest


def test_the_seed_goes_by_its_usual_names():
    assert seed_of({"random_state": 3, "seed": 4}) == 3
    assert seed_of({"seed": 4}) == 4
    assert seed_of({"C": 1.0}) is None


def test_a_retrained_version_knows_its_parent_its_new_files_and_who_approved(
    flows, spec, registry, home, repository
):
    old, new, copy = (repository / name for name in ("old.csv", "new.csv", "copy.csv"))
    flows(600).to_csv(old, index=False)
    flows(200, ("scan",), seed=1).to_csv(new, index=False)
    copy.write_bytes(old.read_bytes())
    commit = tracked(
        old, old.with_name("old.csv.dvc"), f"outs:\n- md5: {md5(old)}\n  hash: md5\n  path: old.csv\n"
    )
    trainer = LogisticRegression(C=0.5)
    words = (spec, trainer, registry, home)
    asked = Origin(project=str(repository), trainer=TABLE, by="cli:ann", at="2026-11-28T10:00:00+00:00")
    first = train("flows", [old], [], *words, gate=Gate(), origin=asked).version
    (repository / "driftcatcher.toml").write_text("# changed\n")
    approved = Origin(
        project=str(repository), trainer=TABLE, by="U0ANNA", why="new scans", at="2026-11-28T11:00:00+00:00",
        incident=4, retrain=2,
    )  # fmt: skip
    second = retrain(first, [copy, new], *words, gate=Gate(), origin=approved).version
    born, made = first.lineage, second.lineage
    assert born is not None
    assert made is not None
    assert (born.kind, born.parent, made.kind, made.parent) == ("train", None, "retrain", 1)
    assert (str(born.project), str(made.project)) == (commit, f"{commit}+dirty")
    assert [(Path(s.path).name, s.role) for s in made.sources] == [
        ("old.csv", "old"), ("copy.csv", "new"), ("new.csv", "new")
    ]  # fmt: skip
    (file,) = first.data
    assert born.sources[0].dvc.matches is True
    assert made.sources[1] == Source(str(copy), file.sha256, 600, "new"), (
        "the same content under another name"
    )
    assert made.configuration["label"]["negative"] == ["BENIGN"]
    assert made.configuration["gate"]["max_loss_old"] == 0.01
    assert made.configuration["trainer"]["table"] == TABLE
    assert made.configuration["trainer"]["params"]["C"] == 0.5
    assert (made.seed, made.origin) == (0, approved)
    tags = registry._client().get_run(second.run_id).data.tags
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.user"] == "U0ANNA"
    assert tags["driftcatcher.why"] == "new scans"
    assert tags["driftcatcher.parent_version"] == "1"
    assert tags["driftcatcher.dvc"] == f"old.csv {md5(old)}"
