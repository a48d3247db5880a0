"""The only file that knows every concrete class: it puts the parts together, starts and stops them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bot import config as configuration
from bot.config import Config
from bot.engine import DaskEngine
from bot.inbox import Inbox
from bot.labelling import label_mark, waiting
from bot.listing import inbox_exists
from bot.times import utc_now
from detectors.parts import here
from state.lock import LockedError, OwnerLock
from state.records import AlreadyDecided, Batch, Retrain, StateError
from state.store import Store
from trainers.base import ModelRegistry, Progress, RetrainOutcome, TrainingError

if TYPE_CHECKING:
    from slack_bolt import App as BoltApp
    from slack_sdk import WebClient

    from bot.evaluating import Evaluating
    from bot.monitoring import Monitoring
    from bot.retraining import Retraining
    from bot.sampling import Sampling
    from bot.slack.connection import HttpConnection, SocketConnection
    from bot.slack.delivery import Delivery
    from bot.tracking import Flusher

log = logging.getLogger(__name__)

DEFAULT_API = "https://slack.com/api/"
ROLL_UP_PAUSE = timedelta(hours=1)
TRACK_PAUSE = timedelta(minutes=10)
WATCH = 10.0  # seconds in which a running bot has begun to deliver, or waits for Slack itself


class SecretMissing(Exception):
    """A token that is not in the environment; the text names the variable and where its value is found."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Slack's credentials; they are never written anywhere."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    api_url: str = DEFAULT_API

    @classmethod
    def from_environment(cls, mode: Literal["socket", "http", "post only"]) -> Secrets:
        """Read what the mode needs; all that is missing is named at once."""
        wanted = {"SLACK_BOT_TOKEN": "xoxb-…, under OAuth & Permissions"}
        if mode == "socket":
            wanted["SLACK_APP_TOKEN"] = "xapp-… with connections:write, under Basic Information"  # noqa: S105  a hint
        elif mode == "http":
            wanted["SLACK_SIGNING_SECRET"] = "under Basic Information"  # noqa: S105  a hint
        missing = [f"{name} ({where})" for name, where in wanted.items() if not os.environ.get(name)]
        if missing:
            raise SecretMissing(f"not in the environment: {', '.join(missing)}")
        url = os.environ.get("SLACK_API_URL") or DEFAULT_API
        return cls(
            bot_token=os.environ["SLACK_BOT_TOKEN"],
            app_token=os.environ.get("SLACK_APP_TOKEN", ""),
            signing_secret=os.environ.get("SLACK_SIGNING_SECRET", ""),
            api_url=url if url.endswith("/") else f"{url}/",
        )


class Application:
    """The use cases on one configuration; the command line and the bot share it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.store = Store(config.state_path)
        self.engine = DaskEngine(config.cluster) if config.cluster else None

    @classmethod
    def load(cls, path: Path, *, plugins: bool = True) -> Application:
        """Read the configuration and open the state file; without `plugins` for what only tells and moves nothing."""
        return cls(configuration.load(path, plugins=plugins))

    # Each use case is loaded when it is asked for: `status` shall not wait for what reads files.

    @cached_property
    def monitoring(self) -> Monitoring:
        """Checks batches."""
        from bot.monitoring import Monitoring

        return Monitoring(self.config, self.store, engine=self.engine or here)

    @cached_property
    def retraining(self) -> Retraining:
        """Approval, training, promotion."""
        from bot.retraining import Retraining

        return Retraining(self.config, self.store, lambda: self.registry)

    @cached_property
    def evaluating(self) -> Evaluating:
        """Labelled predictions."""
        from bot.evaluating import Evaluating

        return Evaluating(self.config, self.store, lambda: self.registry)

    @cached_property
    def sampling(self) -> Sampling:
        """Rows to label."""
        from bot.sampling import Sampling

        return Sampling(self.store)

    @cached_property
    def registry(self) -> ModelRegistry:
        """MLflow, loaded on first use."""
        from trainers.mlflow_registry import MlflowRegistry

        mlflow = self.config.mlflow
        trusted = {name for model in self.config.models for name in model.trainer.get("trusted", ())}
        return MlflowRegistry(
            self.config.home, mlflow.tracking_uri or None, mlflow.ui_url, tuple(sorted(trusted))
        )

    def flusher(self, pictures: Callable[[Batch], Mapping[str, bytes]] | None = None) -> Flusher:
        """What takes to MLflow what waits for it."""
        from bot.tracking import Flusher

        return Flusher(self.config, self.store, lambda: self.registry, pictures)

    def lock(self) -> OwnerLock:
        """The lock that one running bot holds."""
        return OwnerLock(self.config.state_path)

    def outbox_lock(self) -> OwnerLock:
        """The lock of whoever empties the outbox: the running bot, or a command where none runs."""
        return OwnerLock(self.config.state_path.with_suffix(".outbox"))

    def delivery(self, client: WebClient) -> Delivery:
        """What empties the outbox."""
        from bot.slack.delivery import Delivery
        from bot.slack.rendering import Renderer

        return Delivery(self.store, client, Renderer(self.config, self.store), utc_now)

    def deliver_without_bot(self) -> str:
        """Empty the outbox from a command, unless a bot runs, which does it. Returns what became of it."""
        from bot.slack.app import web_client

        try:
            secrets = Secrets.from_environment("post only")
        except SecretMissing as error:
            return f"waits in the outbox for the bot ({error})"
        lock = self.outbox_lock()
        if not self._acquire(lock):
            return "the running bot delivers it"
        try:
            count = self.delivery(web_client(secrets.bot_token, secrets.api_url)).flush()
        finally:
            lock.release()
        return f"{count} delivered"

    def _acquire(self, lock: OwnerLock) -> bool:
        """Whether the outbox is this command's to empty; False when another process does it.

        Who has the lock may be a command like this one, past its last look at the outbox: so it is watched.
        """
        deadline = time.monotonic() + WATCH
        while True:
            try:
                lock.acquire()
            except LockedError:
                if not self.store.due(utc_now(), 1) or time.monotonic() > deadline:
                    return False
                time.sleep(0.1)
            else:
                return True

    def run_retrain(
        self, retrain: Retrain, perform: Callable[[Retrain, Progress], RetrainOutcome], progress: Progress
    ) -> Retrain | None:
        """Run one queued retrain; None when another process has taken it."""
        if not self.store.start_retrain(retrain.id, utc_now()):
            return None
        started = self.store.retrain(retrain.id)
        try:
            outcome = perform(started, progress)
        except (TrainingError, StateError, ValueError) as error:
            reason = str(error)
            return self._ended(started, lambda: self.retraining.fail(started, reason))
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            self._ended(started, lambda: self.retraining.fail(started, reason))
            raise
        try:
            return self._ended(started, lambda: self.retraining.finish(started, outcome))
        except Exception as error:
            log.exception("the result of retrain %s cannot be kept", started.id)
            lost = f"trained, but the result cannot be kept: {error}"
            return self._ended(started, lambda: self.retraining.fail(started, lost))

    def _ended(self, retrain: Retrain, step: Callable[[], Retrain]) -> Retrain:
        """Keep how it ended, unless somebody has cancelled it first."""
        try:
            return _kept(step)
        except AlreadyDecided:
            return self.store.retrain(retrain.id)

    def close(self) -> None:
        """Close the state file, and leave the cluster."""
        if self.engine is not None:
            self.engine.close()
        self.store.close()


def _kept(step: Callable[[], Retrain], patience: float = 600.0) -> Retrain:
    """Do what ends a retrain, again while the state file is busy or full: hours of training hang on it."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return step()
        except StateError as error:
            if time.monotonic() > deadline or "cannot be used now" not in str(error):
                raise
            log.warning("the result of a retrain waits: %s", error)
            time.sleep(2.0)


class Bot:
    """The running bot: listeners, scheduler, outbox and job runner on one state file, which it owns."""

    def __init__(self, app: Application, secrets: Secrets) -> None:
        self.app = app
        self.secrets = secrets
        self._lock = app.lock()
        self._stop = threading.Event()
        self._work = threading.Event()
        self._asked = threading.Event()
        self._threads: list[threading.Thread] = []
        settle, sleep = app.config.settle_seconds, self._stop.wait  # a stop ends the wait
        self._inboxes = {
            m.name: Inbox(m.inbox, settle, sleep, app.store.dealt_with(m.name)) for m in app.config.models
        }
        self._housekept = utc_now()
        self._roll_up_at = self._track_at = self._housekept
        self._track_pause = timedelta(seconds=30)

    def start(self) -> None:
        """Take the state file, mend what was cut off, and start everything. LockedError if a bot runs already."""
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        from bot import scheduler
        from bot.slack.app import build, check_token, web_client
        from bot.slack.services import Services

        app = self.app
        app.retraining.recover(here_only=False)
        app.retraining.hand_over_to_new()
        client = web_client(self.secrets.bot_token, self.secrets.api_url)
        check_token(client)
        self._delivery = app.delivery(client)
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="work")
        self._decisions = ThreadPoolExecutor(2, thread_name_prefix="decision")
        services = Services(
            app.config, app.store, app.monitoring, app.retraining, app.sampling,
            self._inboxes, self._executor, self._decisions, self._wake, utc_now,
        )  # fmt: skip
        bolt = build(client, self.secrets.signing_secret, services)
        self._connection = self._connect(bolt)
        self._spawn("outbox", self._deliver)
        for number in range(app.config.training.side_by_side):
            self._spawn(f"jobs-{number}", self._run_jobs)
        self._flusher = app.flusher(self._delivery.renderer.pictures)
        self._scheduler = scheduler.build(app.config, self._scan, self._housekeep, self._track)
        self._scheduler.start()
        log.info("the bot is up, %s", ", ".join(m.name for m in app.config.models))

    def _connect(self, bolt: BoltApp) -> HttpConnection | SocketConnection:
        from bot.slack.app import check_app_token, web_client
        from bot.slack.connection import HttpConnection, SocketConnection

        slack = self.app.config.slack
        if slack.mode == "http":
            connection = HttpConnection(bolt, slack.host, slack.port)
            connection.start()
            return connection
        check_app_token(web_client(self.secrets.bot_token, self.secrets.api_url), self.secrets.app_token)
        socket = SocketConnection(bolt, self.secrets.app_token, self.secrets.api_url)
        self._spawn("socket", lambda: socket.start(self._stop))
        return socket

    def _deliver(self) -> None:
        """Empty the outbox from now on; a command that does so at this moment is waited for."""
        lock = self.app.outbox_lock()
        while not self._stop.is_set():
            try:
                lock.acquire()
            except LockedError:
                self._stop.wait(0.2)
                continue
            except Exception:
                log.exception("the outbox cannot be taken; trying again")
                self._stop.wait(5.0)
                continue
            try:
                self._delivery.run()
            finally:
                lock.release()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _wake(self) -> None:
        self._delivery.wake()
        self._work.set()

    def _scan(self, name: str) -> None:
        inbox = self.app.config.model(name).inbox
        if isinstance(inbox, Path) and not inbox_exists(inbox):  # of a store, its listing says so
            log.warning("the inbox of %s does not exist: %s", name, inbox)
        self.app.monitoring.scan(self.app.config.model(name), self._inboxes[name], self._stop.is_set)
        self._wake()

    def _housekeep(self) -> None:
        """Messages follow what has changed without a click: a snooze is over, labelled files have come."""
        now = utc_now()
        self.app.retraining.recover()
        self._follow_labels(now)
        for silence in self.app.store.silences_ended(self._housekept, now):
            key = f"incident:{silence.incident_id}:awake:{silence.id}"
            self.app.store.enqueue("incident", key, {}, silence.incident_id, now)
        self._housekept = now
        self._wake()
        self._roll_up(now)
        self.app.retraining.tie_loose_ends()  # last: a registry that is away takes its time to say so

    def _track(self) -> None:
        """Tell MLflow what the checks have found; while it is away, ask less and less often."""
        now = utc_now()
        if now < self._track_at:
            return
        flushed = self._flusher.flush(stop=self._stop.is_set)
        if flushed.error:
            log.warning("%s results wait to be logged: %s", flushed.waiting, flushed.error)
        self._track_pause = (
            min(self._track_pause * 2, TRACK_PAUSE) if flushed.error else timedelta(seconds=30)
        )
        self._track_at = now + self._track_pause if flushed.error else now

    def _roll_up(self, now: datetime) -> None:
        """Some old batches each time, so that nothing waits; when there are no more, not again for a while."""
        after = self.app.config.history.roll_up_after
        if after is not None and now >= self._roll_up_at and not self.app.store.roll_up(now - after):
            self._roll_up_at = now + ROLL_UP_PAUSE

    def _follow_labels(self, now: datetime) -> None:
        unclosed = {incident.model: incident for incident in self.app.store.unclosed_incidents()}
        for model in self.app.config.models:
            files = waiting(model, self.app.store)  # read here, so that answers in Slack need not
            incident = unclosed.get(model.name)
            if incident is None:
                continue
            mark = label_mark(files)
            if self._delivery.renderer.labels_said.get(incident.id) != mark:
                key = f"incident:{incident.id}:labels:{mark}:{now:%Y%m%d%H%M}"
                self.app.store.enqueue("incident", key, {}, incident.id, now)

    def _run_jobs(self) -> None:
        """Retrains one after the other, each in a process of its own; a model has at most one that waits or runs."""
        while not self._stop.is_set():
            try:
                queued = self.app.store.next_queued()
                if queued is not None:
                    self._run_job(queued)
                    continue
            except Exception:
                log.exception("a retrain could not be run; the bot goes on")
            self._work.wait(1.0)
            self._work.clear()  # another of these threads may sleep on: it looks again within the second

    def _run_job(self, queued: Retrain) -> None:
        from bot.jobs import job_for, run_in_child

        steps: list[str] = []

        def progress(step: str) -> None:
            steps.append(step)
            payload = {"retrain_id": queued.id, "steps": steps[-5:]}
            key = f"retrain_started:{queued.id}:{len(steps)}"
            try:
                self.app.store.enqueue("retrain_started", key, payload, queued.incident_id, utc_now())
            except StateError as error:  # a word on the way is not worth the training
                log.warning("the step %r is not told: %s", step, error)
            self._delivery.wake()

        def perform(retrain: Retrain, progress: Progress) -> RetrainOutcome:
            limit = self.app.config.model(retrain.model).retrain_limit
            job = job_for(self.app.config, self.app.store, retrain)
            return run_in_child(
                job, progress, self._stop, limit, lambda: self.app.retraining.cancelled(retrain.id)
            )

        self.app.run_retrain(queued, perform, progress)
        self._wake()

    def wait_until_connected(self, seconds: float) -> bool:
        """Whether Slack can reach the bot, after waiting for it."""
        return self._connection.connected.wait(seconds)

    def ask_to_stop(self) -> None:
        """Make `wait` return; for signal handlers, which may not do more."""
        self._asked.set()

    def wait(self) -> None:
        """Until somebody asks to stop."""
        while not self._asked.wait(0.5):
            pass

    def stop(self) -> None:
        """End in order: no new work, then the listeners, then the outbox, then the state file's lock."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._work.set()
        for part, end in (("_scheduler", "shutdown"), ("_connection", "stop"), ("_delivery", "stop")):
            if hasattr(self, part):
                try:
                    getattr(getattr(self, part), end)()
                except Exception:
                    log.exception("%s did not end cleanly", part)
        for pool in ("_executor", "_decisions"):
            if hasattr(self, pool):
                getattr(self, pool).shutdown(wait=True, cancel_futures=True)
        for thread in self._threads:
            thread.join(timeout=10)
        self._lock.release()
