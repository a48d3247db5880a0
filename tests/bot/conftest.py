"""A watched model in a folder of its own: quickly without MLflow, and once a session trained for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bot import cli
from bot.bootstrap import Application
from bot.config import FILE_NAME, ModelSection
from bot.demo.traffic import BASE_MIX, IDENTIFIERS, LABEL_COLUMN, NEW_MIX, mix
from bot.inbox import Inbox
from detectors.baseline import Baseline
from detectors.digest import sha256_file
from trainers.base import DataFile, ModelVersion

CONFIGURATION = f"""\
home = "home"
settle_seconds = 0

[slack]
channel = "ml-alerts"
approvers = ["U0ANNA"]

[[models]]
name = "netflow"
inbox = "inbox"
labeled = "labeled"
ignore = {json.dumps(list(IDENTIFIERS))}
categorical = ["Protocol"]
label = {{ column = "{LABEL_COLUMN}", negative = ["BENIGN"] }}
"""


@dataclass(frozen=True)
class Traffic:
    """Files of network flows, made once; tests only read them."""

    base: Path
    stable: Path
    drifted: Path
    labelled: Path


@pytest.fixture(scope="session")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    folder = tmp_path_factory.mktemp("traffic")
    made = Traffic(*(folder / f"{name}.csv" for name in ("base", "stable", "drifted", "labelled")))
    new = mix(NEW_MIX, 1800, 3, day=8)
    mix(BASE_MIX, 3000, 1).to_csv(made.base, index=False)
    mix(BASE_MIX, 1200, 2, labelled=False, day=7).to_csv(made.stable, index=False)
    new[600:].drop(columns=LABEL_COLUMN).to_csv(made.drifted, index=False)
    new[:600].to_csv(made.labelled, index=False)
    return made


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object on one line and nothing else."""
        (line,) = self.out.splitlines()
        found = json.loads(line)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`run(folder, "check", file)`: the console script in this process, with `folder` as current folder."""

    def call(folder: Path, *words: object) -> Ran:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["driftcatcher", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture(scope="session")
def shell() -> Callable[..., Ran]:
    """`shell(folder, "check", file)`: the command line as a process of its own."""

    def call(folder: Path, *words: object, **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "bot", *map(str, words)],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call


@dataclass(frozen=True)
class Watched:
    """A folder with a configuration and a model whose version 1 is the champion (a baseline, no estimator)."""

    folder: Path
    app: Application

    @property
    def model(self) -> ModelSection:
        return self.app.config.model(None)

    def inbox(self) -> Inbox:
        """A new look at the inbox, as after a restart."""
        return Inbox(self.model.inbox, settle=0, memory=self.app.store.dealt_with(self.model.name))

    def drop(self, source: Path, name: str = "") -> Path:
        """Move a copy into the inbox whole."""
        path = self.model.inbox / (name or source.name)
        shutil.copyfile(source, path.with_name(f".{path.name}"))
        return path.with_name(f".{path.name}").replace(path)

    def said(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and payload of what waits to be said in Slack, all of it."""
        kept = []
        while due := self.app.store.due(datetime.now(UTC), 100):
            kept += [(item.kind, dict(item.payload)) for item in due]
            for item in due:
                self.app.store.delivered(item.id, datetime.now(UTC))
        return kept


@pytest.fixture(scope="session")
def baseline(traffic: Traffic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The baseline of version 1, fitted on all of the base data."""
    path = tmp_path_factory.mktemp("baseline") / "baseline.npz"
    fitted = Baseline.fit(
        traffic.base, label=LABEL_COLUMN, ignore=IDENTIFIERS, categorical=("Protocol",), version="1"
    )
    fitted.save(path)
    return path


@pytest.fixture
def watch(tmp_path: Path, traffic: Traffic, baseline: Path) -> Iterator[Callable[..., Watched]]:
    """`watch(more)`: a watched model, with more lines at the end of its configuration.

    PSI alone looks at it where `more` names no detectors: what looks at all features together takes a second a check.
    """
    opened: list[Application] = []

    def make(more: str = "") -> Watched:
        folder = tmp_path / f"watched{len(opened)}"
        for name in ("inbox", "labeled"):
            (folder / name).mkdir(parents=True)
        alone = "" if "detectors" in more else "detectors = { psi = {} }\n"
        (folder / FILE_NAME).write_text(CONFIGURATION + alone + more, encoding="utf-8")
        app = Application.load(folder / FILE_NAME)
        opened.append(app)
        crown(app, version_record(baseline, traffic.base))
        return Watched(folder, app)

    yield make
    for app in opened:
        app.close()


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    return watch()


def version_record(baseline: Path, base: Path, version: int = 1) -> ModelVersion:
    """What the state remembers of a version that was trained on `base`."""
    return ModelVersion(
        model="netflow",
        version=version,
        run_id="run",
        run_url="",
        model_uri="models:/none",
        artifact_sha256="",
        baseline_path=str(baseline),
        baseline_sha256=sha256_file(baseline),
        data=(DataFile(str(base), sha256_file(base), len(pd.read_csv(base))),),
        evaluations=(),
        trainer="hist_gradient_boosting",
    )


def crown(app: Application, record: ModelVersion) -> None:
    """Make a version the champion in the state file, without a registry."""
    now = datetime.now(UTC)
    app.store.add_version(record, now)
    app.store.finish_promotion(
        app.store.begin_promotion(record.model, record.version, "train", "test", now).id, now
    )


@dataclass(frozen=True)
class Trained:
    """A folder made by `driftcatcher init` and `driftcatcher train`, and what the training printed."""

    folder: Path
    config: Path
    printed: Ran


@pytest.fixture(scope="session")
def trained_once(
    traffic: Traffic, tmp_path_factory: pytest.TempPathFactory, shell: Callable[..., Ran]
) -> Trained:
    """Version 1 of the template's model, trained with real MLflow in a process of its own."""
    folder = tmp_path_factory.mktemp("trained")
    started = shell(folder, "init")
    assert (started.code, started.err) == (0, "")
    config = folder / FILE_NAME
    edited = config.read_text(encoding="utf-8")
    for old, new in (
        ('column = "label"', f'column = "{LABEL_COLUMN}"'),
        ('negative = ["0"]', 'negative = ["BENIGN"]'),
        ("ignore = []", f"ignore = {json.dumps(list(IDENTIFIERS))}"),
    ):
        assert old in edited
        edited = edited.replace(old, new)
    config.write_text(edited, encoding="utf-8")
    return Trained(folder, config, shell(folder, "train", "--base-data", traffic.base, "--json"))


@pytest.fixture
def trained(trained_once: Trained, tmp_path: Path) -> Trained:
    """A copy of the trained folder, to do with as one likes."""
    folder = tmp_path / "project"
    shutil.copytree(trained_once.folder, folder)
    return Trained(folder, folder / FILE_NAME, trained_once.printed)


def deal(inbox: Inbox) -> list[str]:
    """Deal with all that is offered."""
    found = []
    for file in inbox.finished():
        inbox.done(file)
        found.append(file.path.name)
    return found
