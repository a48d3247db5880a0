"""The stage of the demo: a folder with data and configuration, a trained model, a workspace, and the bot."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.bootstrap import Application, Bot, Secrets
from bot.config import FILE_NAME
from bot.demo.traffic import IDENTIFIERS, LABEL_COLUMN, DemoFiles, write_demo_files
from bot.slack.status_blocks import HELP
from bot.workspace import User, Workspace

MODEL = "netflow"
CHANNEL = "ml-alerts"
APPROVER = User(id="U0ANNA", name="anna", real_name="Anna Approver")
VIEWER = User(id="U0VIC", name="vic", real_name="Vic Viewer")

CONFIGURATION = f"""\
# Made by `driftcatcher demo`: network flows, benign or attack.
home = "state"
settle_seconds = 1

[slack]
channel = "{CHANNEL}"
approvers = ["{APPROVER.id}"]

[mlflow]
ui_url = "http://127.0.0.1:PORT"

[[models]]
name = "{MODEL}"
inbox = "inbox"
labeled = "labeled"
ignore = [{", ".join(f'"{name}"' for name in IDENTIFIERS)}]
categorical = ["Protocol"]
schedule = "5s"

[models.label]
column = "{LABEL_COLUMN}"
negative = ["BENIGN"]
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the story plays with."""

    folder: Path
    files: DemoFiles
    app: Application
    workspace: Workspace

    def drop_batch(self, file: Path, name: str) -> None:
        """Put a file into the inbox whole, as a careful exporter does."""
        _move_in(file, self.folder / "inbox", name)

    def bring_labels(self) -> None:
        """The labelled sample arrives."""
        _move_in(self.files.new_labelled, self.folder / "labeled", "labelled_by_analyst.csv")


def _move_in(file: Path, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f".{name}.part"
    shutil.copyfile(file, whole)
    whole.replace(folder / name)


@contextmanager
def stage(folder: Path, seed: int, port: int, say: Callable[[str], None]) -> Iterator[Stage]:
    """Make the data, train version 1, start workspace and bot; end both afterwards.

    OSError where the port is taken, before anything is written.
    """
    workspace = Workspace(
        users=[APPROVER, VIEWER],
        channels=[CHANNEL],
        command_help=[(usage, text) for usage, text in HELP],
        port=port,
        name="DriftCatcher demo",
    )
    with workspace:
        app, files = _trained(folder, seed, say)
        secrets = Secrets(
            workspace.bot_token, workspace.app_token, workspace.signing_secret, workspace.api_url
        )
        bot = Bot(app, secrets)
        try:
            bot.start()
            bot.wait_until_connected(30)
            yield Stage(folder, files, app, workspace)
        finally:
            bot.stop()
            app.close()


@contextmanager
def mlflow_ui(made: Stage) -> Iterator[str]:
    """The MLflow page that the links in the thread lead to, in a process of its own; yields its address."""
    url = made.app.config.mlflow.ui_url
    command = [
        sys.executable, "-m", "bot", "--config", str(made.folder / FILE_NAME),
        "mlflow", "--port", url.rsplit(":", 1)[1],
    ]  # fmt: skip
    with (made.folder / "mlflow.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield url
        finally:
            child.terminate()
            child.wait()


def _trained(folder: Path, seed: int, say: Callable[[str], None]) -> tuple[Application, DemoFiles]:
    say("making network flows: benign traffic and a DDoS attack …")
    files = write_demo_files(folder / "data", seed)
    for name in ("inbox", "labeled"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    config = folder / FILE_NAME
    config.write_text(CONFIGURATION.replace("PORT", str(_free_port())), encoding="utf-8")
    app = Application.load(config)
    try:
        say("training version 1 and logging it to MLflow (the first use of its store takes some seconds) …")
        model = app.config.model(MODEL)
        app.retraining.train(model, [files.base], [], "demo", lambda step: say(f"  {step}"))
    except BaseException:
        app.close()
        raise
    return app, files


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
