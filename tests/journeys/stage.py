"""The stage of the journeys: a trained project in a folder of its own, a Slack, and the real bot between them.

Training takes seconds, so it is done once for all tests (`train_template`). A test gets copies of the two
databases, state and MLflow; the files that they name (data, baselines, model files) stay where they were made
and are only read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from slack_sdk import WebClient

from bot import labelling
from bot.bootstrap import Application, Bot, Secrets
from bot.demo.traffic import BASE_MIX, IDENTIFIERS, LABEL_COLUMN, NEW_MIX, mix
from bot.slack import ids, modals
from bot.workspace import Person, User, Workspace
from detectors.location import Location
from state.records import Incident, Retrain
from tests.journeys.local_slack import LocalSlack
from trainers.base import quiet

Json = dict[str, Any]
Slack = Workspace | LocalSlack
Found = TypeVar("Found")

MODEL, SECOND_MODEL = "netflow", "edgeflow"
CHANNEL, SECOND_CHANNEL = "ml-alerts", "edge-alerts"
ANNA = User("U0ANNA", "anna", "Anna Approver")
ADAM = User("U0ADAM", "adam", "Adam Approver")
VIC = User("U0VIC", "vic", "Vic Viewer")
PEOPLE = (ANNA, ADAM, VIC)
CHANNELS = (CHANNEL, SECOND_CHANNEL)
DATABASES = ("state.db", "mlflow.db")
NEVER = "0 0 29 2 *"  # a schedule: at the start, as always, and then on the next 29 February
PATIENCE = 60.0  # seconds for one step; machines that run tests are slow at times


@dataclass(frozen=True, slots=True)
class Files:
    """Data made once for all tests; `drifted(n)` and `stable(n)` are other bytes for every n."""

    folder: Path

    @property
    def base(self) -> Path:
        return self._made("base.csv", lambda: mix(BASE_MIX, 2500, 1))

    def stable(self, number: int) -> Path:
        return self._made(
            f"stable_{number}.csv", lambda: mix(BASE_MIX, 900, 100 + number, labelled=False, day=7)
        )

    def drifted(self, number: int) -> Path:
        return self._made(
            f"drifted_{number}.csv", lambda: mix(NEW_MIX, 700, 200 + number, labelled=False, day=8)
        )

    @property
    def labelled(self) -> Path:
        return self._made("labelled.csv", lambda: mix(NEW_MIX, 600, 201, day=8))

    def _made(self, name: str, make: Callable[[], Any]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            make().to_csv(path, index=False)
        return path


@dataclass(frozen=True, slots=True)
class Template:
    """A project to copy: the folder that its state names, and the two databases as they were at some point."""

    files: Files
    databases: Path


def configuration(
    slack: Mapping[str, Any] | None = None, model: Mapping[str, Any] | None = None, *, second: bool = False
) -> str:
    """A driftcatcher.toml; `slack` and `model` replace or add keys of the bot and of the (first) model."""
    lines = ['home = "home"', "settle_seconds = 0", "[slack]"]
    lines += _toml({"channel": CHANNEL, "approvers": [ANNA.id, ADAM.id], **(slack or {})})
    lines += _model(MODEL, model or {})
    if second:
        lines += _model(SECOND_MODEL, {"channel": SECOND_CHANNEL, "approvers": [VIC.id]})
    return "\n".join(lines) + "\n"


def _model(name: str, changed: Mapping[str, Any]) -> list[str]:
    keys = {
        "name": name, "inbox": f"inbox/{name}", "labeled": f"labeled/{name}", "schedule": "1s",
        "ignore": list(IDENTIFIERS), "categorical": ["Protocol"],
        "expect_rows": 0,  # seconds for each form that is opened; the main journey has it
        **changed,
    }  # fmt: skip
    label = _toml({"column": LABEL_COLUMN, "negative": ["BENIGN"]})
    rest = ["[models.trainer]", "max_iter = 20", "[models.detectors.psi]"]  # the demo has the default ones
    return ["[[models]]", *_toml(keys), "[models.label]", *label, *rest]


def _toml(keys: Mapping[str, Any]) -> list[str]:
    def value(given: Any) -> str:
        return (
            f"[{', '.join(map(value, given))}]" if isinstance(given, list) else repr(given).replace("'", '"')
        )

    return [f"{key} = {value(given)}" for key, given in keys.items()]


def train_template(folder: Path, config: str = "", base: Location | None = None) -> Template:
    """Train version 1 of both models, or of those configured, and log them to a real MLflow store."""
    files = Files(folder / "data")
    path = folder / "driftcatcher.toml"
    path.write_text(config or configuration(second=True), encoding="utf-8")
    app = Application.load(path)
    try:
        for model in app.config.models:
            app.retraining.train(model, [base or files.base], [], "template")
        return Template(files, _saved(app, folder / "trained"))
    finally:
        app.close()


def retrain_template(trained: Template) -> Template:
    """Go on until a retrain waits for its decision; all that is to be said about it is still in the outbox."""
    from bot.jobs import job_for, perform

    project = trained.files.folder.parent
    app = Application.load(project / "driftcatcher.toml")
    try:
        model = app.config.model(MODEL)
        _move_in(trained.files.labelled, model.labeled)
        checked = app.monitoring.check(model, trained.files.drifted(1))
        app.monitoring.notify(model, checked.batch)
        files = [found.data_file() for found in labelling.waiting(model, app.store)]
        incident = app.store.open_incident_of(MODEL)
        assert incident is not None
        approved = app.retraining.approve(model, files, ANNA.id, incident_id=incident.id)
        app.run_retrain(approved, lambda r, step: perform(job_for(app.config, app.store, r), step), quiet)
        return Template(trained.files, _saved(app, project / "retrained"))
    finally:
        app.close()


def _saved(app: Application, folder: Path) -> Path:
    """Copies of the databases, made by SQLite itself: what is still in the log comes along."""
    folder.mkdir()
    for name in DATABASES:
        with (
            closing(sqlite3.connect(app.config.home / name)) as source,
            closing(sqlite3.connect(folder / name)) as target,
        ):
            source.backup(target)
    return folder


class Site:
    """One test's project, its Slack, and its bot, which may be stopped and started again."""

    def __init__(self, template: Template, folder: Path, slack: Slack, config: str) -> None:
        self.folder, self.slack, self.files = folder, slack, template.files
        self.config_path = folder / "driftcatcher.toml"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        for name in DATABASES:
            shutil.copyfile(template.databases / name, self.home / name)
        self.api_url = ""  # of a proxy in front of the Slack, if any
        self.configure(config)
        self.app = Application.load(self.config_path)
        self.bot: Bot | None = None

    def configure(self, config: str) -> None:
        """Write the configuration; the bot reads it when it starts."""
        self.config_path.write_text(config, encoding="utf-8")

    def start(self, *, connected: bool = True) -> Bot:
        """Start the bot, and wait until Slack can reach it."""
        self.app.close()
        labelling._looked.clear()  # what a new process would not know
        labelling._listed.clear()
        self.app = Application.load(self.config_path)
        slack = self.slack
        url = self.api_url or slack.api_url
        self.bot = Bot(self.app, Secrets(slack.bot_token, slack.app_token, slack.signing_secret, url))
        self.bot.start()
        if connected:
            assert self.bot.wait_until_connected(PATIENCE), "the bot did not connect"
            self.connected()
        return self.bot

    def connected(self) -> None:
        """Wait until Slack knows of the bot's connection."""
        self.until(lambda: self.slack.connections, "the bot is not connected")

    def stop(self) -> None:
        """Stop the bot in order; the state stays readable."""
        if self.bot is not None:
            self.bot.stop()
            self.bot = None

    def restart(self) -> None:
        """A new process would do the same: nothing but the state file survives."""
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        self.app.close()

    def person(self, user: User) -> Person:
        return self.slack.person(user.id)

    def bot_client(self) -> WebClient:
        """The bot's own access to Slack."""
        return WebClient(token=self.slack.bot_token, base_url=self.slack.api_url)

    def channel_id(self, name: str = CHANNEL) -> str:
        channels = self.person(ANNA).state()["channels"]
        return str(next(c["id"] for c in channels if c["name"] == name))

    def drop(self, file: Path, model: str = MODEL) -> str:
        """Put a batch into the inbox whole; returns its name."""
        return _move_in(file, self.folder / "inbox" / model)

    def bring_labels(self, model: str = MODEL) -> None:
        """A labelled file arrives."""
        _move_in(self.files.labelled, self.folder / "labeled" / model)

    def environment(self, api_url: str = "") -> dict[str, str]:
        """For a process of its own."""
        return {
            **os.environ,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "SLACK_API_URL": api_url or self.slack.api_url,
        }

    def command(self, *words: str) -> subprocess.Popen[str]:
        """`driftcatcher WORDS` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "bot", "--config", str(self.config_path), *words],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """`driftcatcher serve` as a process of its own, up and connected; ended afterwards if it still runs."""
        said = self.folder / "serve.log"
        with said.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "bot", "--config", str(self.config_path), "serve"],
                env=self.environment(),
                stdout=sink,
                stderr=sink,
                text=True,
            )
            try:
                self.until(
                    lambda: self.slack.connections or process.poll() is not None, "serve did not connect"
                )
                assert process.poll() is None, said.read_text()
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def until(self, condition: Callable[[], Found], otherwise: str, timeout: float = PATIENCE) -> Found:
        """Ask until the answer is truthy, and return it."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{otherwise}\n{self.person(ANNA).transcript(CHANNEL)}"
            time.sleep(0.05)
        return found

    def incident(self, model: str = MODEL) -> Incident:
        """The newest incident."""
        return self.app.store.incidents(model, 1)[0]

    def retrains(self, model: str = MODEL) -> tuple[Retrain, ...]:
        return self.app.store.retrains(model, 20)

    def champion(self, model: str = MODEL) -> int:
        champion = self.app.store.champion(model)
        assert champion is not None
        return champion.record.version

    def outbox_is_empty(self) -> bool:
        return not self._pending()

    def _pending(self) -> int:
        with closing(sqlite3.connect(self.home / "state.db")) as db:
            return int(db.execute("SELECT count(*) FROM outbox WHERE state = 'pending'").fetchone()[0])

    def settled(self) -> None:
        """Wait until everything that is to be said has been said."""
        self.until(self.outbox_is_empty, "the outbox does not get empty")


def _move_in(file: Path, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f".{file.name}.part"
    shutil.copyfile(file, whole)
    whole.replace(folder / file.name)
    return file.name


def with_action(messages: Sequence[Json], action_id: str) -> Json | None:
    """The first message that has this button or menu."""
    for message in messages:
        for block in message.get("blocks") or []:
            if any(element.get("action_id") == action_id for element in block.get("elements", [])):
                return message
    return None


def blocks_of(message: Json, kind: str) -> list[Json]:
    return [block for block in message.get("blocks") or [] if block["type"] == kind]


def alert(person: Person, channel: str = CHANNEL) -> Json:
    """The incident's message: the one with buttons."""
    return person.wait_for(lambda p: with_action(p.messages(channel), ids.INCIDENT_DETAILS), PATIENCE) or {}


def alerts(person: Person, channel: str = CHANNEL) -> list[Json]:
    """Messages at the top of the channel that the bot wrote with blocks."""
    return [m for m in person.messages(channel) if m.get("blocks")]


def thread(person: Person, channel: str = CHANNEL) -> list[Json]:
    return person.replies(channel, alert(person, channel)["ts"])


def sees(person: Person, text: str, channel: str = CHANNEL) -> str:
    """Wait until a message of the channel or a thread in it says this; returns all of them as text."""
    return person.wait_for(lambda p: said if text in (said := _everything(p, channel)) else "", PATIENCE)


def _everything(person: Person, channel: str) -> str:
    top = person.messages(channel)
    return str([[m, person.replies(channel, m["ts"])] for m in top])


def told(person: Person, text: str, channel: str = CHANNEL) -> None:
    """Wait until this person alone is told this."""
    person.wait_for(lambda p: text in str(p.ephemerals(channel)), PATIENCE)


STABLE, DRIFT = "Nothing to do.", "no longer looks like"  # what the answer to a check says


def check(person: Person, name: str, verdict: str, channel: str = CHANNEL) -> None:
    """`/drift check NAME`, and wait for its verdict."""
    before = len(person.ephemerals(channel))
    person.command(channel, "/drift", f"check {name}")
    person.wait_for(lambda p: verdict in str(p.ephemerals(channel)[before:]), PATIENCE)


def ask(person: Person, text: str, channel: str = CHANNEL) -> str:
    """`/drift TEXT`; the answer, which only this person sees, with what was said while it was being found."""
    before = len(person.ephemerals(channel))
    person.command(channel, "/drift", text)

    def answered(person: Person) -> list[Json]:
        said = person.ephemerals(channel)[before:]
        return said if any(not str(m.get("text", "")).endswith("…") for m in said) else []

    return str(person.wait_for(answered, PATIENCE))


def open_form(person: Person, channel: str = CHANNEL) -> Json:
    """Press *Approve retrain* and wait for the form to be filled."""
    person.click(channel, alert(person, channel)["ts"], ids.INCIDENT_APPROVE)
    return form(person)


def form(person: Person) -> Json:
    return person.wait_for(lambda p: _with_files(p.open_view()), PATIENCE) or {}


def _with_files(view: Json | None) -> Json | None:
    filled = view is not None and any(b.get("block_id") == modals.FILES_BLOCK for b in view["blocks"])
    return view if filled else None


def not_started(person: Person) -> str:
    """The refusal in the place of the form."""
    view = person.wait_for(
        lambda p: v if (v := p.open_view()) and v["title"]["text"] == "Not started" else None, PATIENCE
    )
    return str(view)


def training_processes(parent: int) -> list[int]:
    """Ids of the training processes that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if b"bot.worker" in command and int(stat[1]) == parent and stat[0] != "Z":
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
