"""A project with a real MLflow server, a bot in a process of its own, and an embedded Slack; each can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot import labelling
from bot.bootstrap import Application
from bot.workspace import Workspace
from state.records import Retrain
from tests.benchmarks.kills.relay import Relay
from tests.journeys.stage import ANNA, MODEL, Files, configuration, training_processes

Found = TypeVar("Found")
PATIENCE = 120.0
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


@dataclass(frozen=True)
class Made:
    """Version 1 is in use, a batch has drifted, and labelled rows wait: what every house begins with."""

    folder: Path
    files: Files

    @classmethod
    def make(cls, folder: Path) -> Made:
        """Train through a real server."""
        files = Files(folder / "data")
        server = Server(folder)
        relay = Relay(server.port)
        server.start()
        (folder / "driftcatcher.toml").write_text(_configuration(folder, relay.url))
        app = Application.load(folder / "driftcatcher.toml")
        try:
            model = app.config.models[0]
            app.retraining.train(model, [files.base], [], "template")
            checked = app.monitoring.check(model, files.drifted(1))
            app.monitoring.notify(model, checked.batch)
        finally:
            app.close()
            server.kill()
            relay.close()
        return cls(folder, files)


def _configuration(folder: Path, url: str) -> str:
    waits = f'use = "tests.benchmarks.kills.trainer:Waiting"\ngate = "{folder / "gate"}"'
    text = configuration(model={"schedule": "0 0 29 2 *"}).replace("max_iter = 20", waits)
    return f'{text}\n[mlflow]\ntracking_uri = "{url}"\n'


class Server:
    """`mlflow server` on a port that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    def start(self) -> None:
        """Start it, and wait until it answers."""
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        places = [*store, "--artifacts-destination", str(self.folder / "served")]
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "server.log").open("a") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *address, *places],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                cwd=self.folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        until(self._answers, "the MLflow server does not start")

    def kill(self) -> None:
        """kill -9, with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


class House:
    """One case: a copy of what was made, with everything running."""

    def __init__(self, made: Made, folder: Path, slack: Workspace, retries: int) -> None:
        self.made, self.folder, self.slack = made, folder, slack
        self._retries = str(retries)
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        _copy(made.folder / "home" / "state.db", self.home / "state.db")
        _copy(made.folder / "server.db", folder / "server.db")
        shutil.copytree(made.folder / "served", folder / "served")
        self.server = Server(folder)
        self.relay = Relay(self.server.port)
        self.gate = folder / "gate"
        self.config = folder / "driftcatcher.toml"
        self.config.write_text(_configuration(folder, self.relay.url))
        labelled = folder / "labeled" / MODEL
        labelled.mkdir(parents=True)
        shutil.copyfile(made.files.labelled, labelled / "new.csv")
        self.bot: subprocess.Popen[bytes] | None = None
        self.server.start()
        self.start_bot()
        self.app = Application.load(self.config)

    def start_bot(self) -> None:
        """`driftcatcher serve`, up and connected."""
        environment = {
            **os.environ,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "SLACK_API_URL": self.slack.api_url,
            RETRIES: self._retries,
        }
        with (self.folder / "bot.log").open("a") as said:
            self.bot = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.benchmarks.kills.bot",
                    "--config",
                    str(self.config),
                    "serve",
                ],
                env=environment,
                stdout=said,
                stderr=said,
            )
        until(lambda: self.slack.connections, "the bot does not connect")

    def freeze_bot(self) -> None:
        """Nothing is taken from the queue from now on."""
        if self.bot is not None:
            os.kill(self.bot.pid, signal.SIGSTOP)

    def thaw_bot(self) -> None:
        if self.bot is not None:
            os.kill(self.bot.pid, signal.SIGCONT)

    def kill_bot(self) -> None:
        """kill -9."""
        if self.bot is not None:
            self.bot.kill()
            self.bot.wait()
            self.bot = None
        until(lambda: not self.slack.connections, "Slack still sees the bot")

    def trainer(self) -> int | None:
        """The process that trains, if there is one."""
        found = training_processes(self.bot.pid) if self.bot is not None else []
        return found[0] if found else None

    def approve(self) -> Retrain:
        model = self.app.config.models[0]
        files = [found.data_file() for found in labelling.waiting(model, self.app.store)]
        incident = self.app.store.open_incident_of(MODEL)
        return self.app.retraining.approve(
            model, files, ANNA.id, incident_id=incident.id if incident else None
        )

    def settled(self) -> bool:
        """Nothing runs, nothing is half moved, the registry was seen to agree, and everything is said."""
        store = self.app.store
        if store.active_retrains() or store.pending_promotions():
            return False
        with closing(sqlite3.connect(self.home / "state.db")) as db:
            left = "SELECT (SELECT count(*) FROM loose_ends), count(*) FROM outbox WHERE state = 'pending'"
            return db.execute(left).fetchone() == (0, 0)

    def close(self) -> None:
        self.app.close()
        if self.bot is not None:
            self.bot.kill()
            self.bot.wait()
        self.server.kill()
        self.relay.close()


def _copy(source: Path, target: Path) -> None:
    """By SQLite itself: what is still in the log comes along."""
    with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(target)) as to:
        from_.backup(to)


def until(condition: Callable[[], Found], otherwise: str, seconds: float = PATIENCE) -> Found:
    """Ask until the answer is truthy, and return it; TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.05)
    return found
