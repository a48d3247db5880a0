"""From an outbox item to what is posted, edited or uploaded; everything is read from the state at that moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot import labelling
from bot.config import Config
from bot.monitoring import load_baseline
from bot.sampling import file_name
from bot.slack import retrain_blocks as retrains
from bot.slack.batch_blocks import (
    broken_feed_message,
    details_reply,
    failed_batches_message,
    unmeasured_message,
)
from bot.slack.blocks import Message, without_tables
from bot.slack.incident_blocks import incident_message
from bot.slack.performance_blocks import performance_alert
from bot.slack.samples import not_uploaded, sample_message
from bot.slack.shadow_blocks import shadow_complete, shadow_progress
from bot.slack.version_blocks import back_in_use
from bot.times import utc_now
from bot.tracking import place_of
from detectors.errors import DataError
from detectors.profile import Profile
from state.records import Batch, Incident, OutboxItem, Retrain, Shadow, StateError
from state.store import Store
from trainers.base import RetrainOutcome
from trainers.judgement import Expectation

log = logging.getLogger(__name__)

PLOTS = 3  # the worst features; more would bury the thread


class NotYetError(Exception):
    """An outbox item that has to wait: the message whose thread it belongs to is not in Slack."""


class UnsayableError(Exception):
    """An outbox item that can never be said; the text says why."""


@dataclass(frozen=True, slots=True)
class File:
    """A picture for a thread, or rows to label."""

    name: str
    title: str
    alt: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Post:
    """One call to Slack: a new message, a reply, an edit (`edit_ts`), or an upload (`files`).

    `repost` posts again when the message to edit was deleted; `otherwise` is said where files are refused.
    """

    channel: str
    message: Message
    thread_ts: str | None = None
    edit_ts: str | None = None
    repost: bool = False
    files: tuple[File, ...] = ()
    otherwise: Message | None = None

    @property
    def plain(self) -> Message | None:
        """The message without table blocks, None where it has none."""
        if any(block["type"] == "table" for block in self.message.blocks):
            return without_tables(self.message)
        return None


@dataclass(frozen=True, slots=True)
class Renderer:
    """Makes posts from outbox items, and remembers where a message went."""

    config: Config
    store: Store
    now: Callable[[], datetime] = utc_now
    labels_said: dict[int, str] = field(
        default_factory=dict
    )  # incident: which labelled files its message counts

    def posts(self, item: OutboxItem) -> list[Post]:
        """What to send for an item. UnsayableError when it can never be said."""
        if item.kind not in _KINDS:
            raise UnsayableError(f"nothing is known of messages of the kind {item.kind}")
        return _KINDS[item.kind](self, item)

    def sent(self, item: OutboxItem, channel: str, ts: str) -> None:
        """Remember where a message is, so that it can be edited and answered."""
        if item.kind == "incident" and item.incident_id is not None:
            self.store.set_incident_ts(item.incident_id, ts, channel)
        elif item.kind in ("retrain_started", "retrain_finished", "promoted", "shadow", "shadow_complete"):
            self.store.remember_post(f"{item.kind}:{item.payload['retrain_id']}", channel, ts)
        elif item.kind == "broken_feed":
            self.store.remember_post(f"broken_feed:{item.payload['batch_id']}", channel, ts)

    def incident(self, item: OutboxItem) -> list[Post]:
        """The one message of the incident, new or edited."""
        incident = self._incident(item)
        model = self.config.model(incident.model)
        batch = self.store.batch(incident.last_batch_id)
        champion = self.store.champion(incident.model)
        labelled = labelling.waiting(model, self.store)
        self.labels_said[incident.id] = labelling.label_mark(labelled)
        own = [r for r in self.store.retrains(incident.model, 20) if r.incident_id == incident.id]
        last = self.store.last_retrain_at(incident.model)
        cooling = last + model.retrain_cooldown if last else None
        message = incident_message(
            incident,
            batch,
            champion=champion.record if champion else None,
            latest_retrain=own[0] if own else None,
            shadow=self.store.shadow(own[0].id) if own and own[0].shadow_batches else None,
            silence=self.store.silence(incident.model, self.now()),
            labelled=len(labelled),
            broken=self.store.broken_feed(incident.model),
            labelled_folder=labelling.folder_name(model),
            label_column=model.label.column,
            baseline_rows=self._baseline_rows(batch),
            alert_cooldown=model.alert_cooldown,
            cooling_until=cooling if cooling and cooling > self.now() else None,
            feedback=self.store.feedback_on(incident.id),
            chart_url=self._chart_url(batch),
        )
        # until it is posted, a channel that was wrong in the configuration can be mended there
        channel = incident.channel if incident.ts else self._channel(incident.model)
        return [Post(channel, message, edit_ts=incident.ts, repost=True)]

    def details(self, item: OutboxItem) -> list[Post]:
        """The long table and the pictures of the worst features, in the thread."""
        incident = self._incident(item)
        batch = self.store.batch(int(item.payload["batch_id"]))
        if batch.report is None:
            raise UnsayableError(f"batch {batch.id} has no report")
        thread = _thread_of(incident)
        table = Post(incident.channel, details_reply(batch, batch.report), thread_ts=thread)
        files = self._plots(batch)
        if not files:
            return [table]
        text = (
            f"The {len(files)} features that moved most" if len(files) > 1 else "The feature that moved most"
        )
        pictures = Post(incident.channel, Message(text, []), thread_ts=incident.ts, files=files)
        return [pictures, table]

    def retrain_started(self, item: OutboxItem) -> list[Post]:
        """The first reply about a retrain, edited as it goes on; without an incident it starts a thread."""
        retrain = self._retrain(item)
        steps = item.payload.get("steps", ()) or self._turn(retrain)
        message = retrains.retrain_started(retrain, steps, self._expected(retrain))
        before = self.store.post_of(f"retrain_started:{retrain.id}")
        if before:
            return [Post(before[0], message, edit_ts=before[1])]
        channel, thread = self._root(retrain)
        return [Post(channel, message, thread_ts=thread)]

    def retrain_finished(self, item: OutboxItem) -> list[Post]:
        """The result with its two buttons."""
        retrain = self._retrain(item)
        if retrain.outcome is None:
            raise UnsayableError(f"retrain {retrain.id} has no result")
        channel, thread = self._root(retrain)
        message = self._result(retrain, retrain.outcome)
        return [*self._start_again(retrain), Post(channel, message, thread_ts=thread)]

    def retrain_matrix(self, item: OutboxItem) -> list[Post]:
        """Both versions on every hold-out, as a table and a picture."""
        from bot.slack.matrix_blocks import matrix_message
        from trainers.matrix_plot import in_words, matrix_plot

        retrain = self._retrain(item)
        outcome = retrain.outcome
        if outcome is None or not outcome.matrix:
            raise UnsayableError(f"retrain {retrain.id} has no matrix")
        channel, thread = self._root(retrain)
        told = Post(channel, matrix_message(retrain, outcome), thread_ts=thread)
        names = f"v{retrain.champion_version}", f"v{outcome.version.version}"
        try:
            png = matrix_plot(outcome.matrix, *names)
        except Exception:
            log.exception("the picture of the matrix is left out")
            return [told]
        file = File(
            f"retrain{retrain.id}-matrix.png",
            "What each version knows",
            in_words(outcome.matrix, *names),
            png,
        )
        return [told, Post(channel, Message("The same as a picture", []), thread_ts=thread, files=(file,))]

    def shadow(self, item: OutboxItem) -> list[Post]:
        """How far the shadow period is: one message, edited; the result says too when it is over."""
        retrain, shadow = self._shadow(item)
        posts = self._shadow_again(shadow)
        if not posts:
            channel, thread = self._root(retrain)
            posts = [Post(channel, shadow_progress(shadow), thread_ts=thread)]
        return posts if shadow.running else [*posts, *self._result_again(retrain)]

    def shadow_complete(self, item: OutboxItem) -> list[Post]:
        """The shadow period is over and the decision waits: a new message, which people are notified of."""
        retrain, shadow = self._shadow(item)
        channel, thread = self._root(retrain)
        news = Post(channel, shadow_complete(shadow), thread_ts=thread)
        return [*self._shadow_again(shadow), *self._result_again(retrain), news]

    def _shadow(self, item: OutboxItem) -> tuple[Retrain, Shadow]:
        retrain = self._retrain(item)
        shadow = self.store.shadow(retrain.id)
        if shadow is None:
            raise UnsayableError(f"retrain {retrain.id} has no shadow period")
        return retrain, shadow

    def _shadow_again(self, shadow: Shadow) -> list[Post]:
        """The messages of the period that are in the thread, as they are to be now."""
        made = {"shadow": shadow_progress, "shadow_complete": shadow_complete}
        there = [(self.store.post_of(f"{kind}:{shadow.retrain_id}"), make) for kind, make in made.items()]
        return [Post(at[0], make(shadow), edit_ts=at[1]) for at, make in there if at is not None]

    def retrain_failed(self, item: OutboxItem) -> list[Post]:
        """Why the retrain came to nothing."""
        retrain = self._retrain(item)
        channel, thread = self._root(retrain)
        message = retrains.retrain_failed(retrain, retrain.error or "no reason is known")
        return [*self._start_again(retrain), Post(channel, message, thread_ts=thread)]

    def promoted(self, item: OutboxItem) -> list[Post]:
        """The result loses its buttons; a new reply has the way back."""
        retrain = self._retrain(item)
        channel, thread = self._root(retrain)
        return [*self._result_again(retrain), Post(channel, self._promoted(retrain), thread_ts=thread)]

    def kept(self, item: OutboxItem) -> list[Post]:
        """The result loses its buttons; who decided is said."""
        retrain = self._retrain(item)
        channel, thread = self._root(retrain)
        champion = self.store.champion(retrain.model)
        in_use = champion.record.version if champion else None
        message = retrains.kept(retrain, retrain.decided_by or "", in_use)
        return [*self._result_again(retrain), Post(channel, message, thread_ts=thread)]

    def rolled_back(self, item: OutboxItem) -> list[Post]:
        """Result and promotion lose their buttons; the version in use now is said."""
        retrain = self._retrain(item)
        channel, thread = self._root(retrain)
        posts = self._result_again(retrain)
        if before := self.store.post_of(f"promoted:{retrain.id}"):
            posts.append(Post(before[0], self._promoted(retrain), edit_ts=before[1]))
        message = retrains.rolled_back(
            retrain, retrain.back_to or retrain.champion_version, retrain.decided_by or ""
        )
        return [*posts, Post(channel, message, thread_ts=thread)]

    def back_in_use(self, item: OutboxItem) -> list[Post]:
        """A roll-back from a version that no retrain has made, in the model's channel."""
        model, version = str(item.payload["model"]), int(item.payload["version"])
        for move, why in self.store.promotions_of(model, version):
            if move.id == item.payload["promotion_id"]:
                return [Post(self._channel(model), back_in_use(move, why))]
        raise UnsayableError(f"there is no finished move {item.payload['promotion_id']}")

    def broken_feed(self, item: OutboxItem) -> list[Post]:
        """A batch whose columns are wrong."""
        batch = self.store.batch(int(item.payload["batch_id"]))
        message = broken_feed_message(batch)
        if before := self.store.post_of(f"broken_feed:{batch.id}"):
            return [Post(before[0], message, edit_ts=before[1])]
        return [Post(self._channel(batch.model), message)]

    def unmeasured(self, item: OutboxItem) -> list[Post]:
        """A batch whose features the detectors could not measure."""
        batch = self.store.batch(int(item.payload["batch_id"]))
        return [Post(self._channel(batch.model), unmeasured_message(batch))]

    def failed_batches(self, item: OutboxItem) -> list[Post]:
        """Files of one scan that could not be read: one message."""
        batches = [self.store.batch(int(i)) for i in item.payload["batch_ids"]]
        return [Post(self._channel(batches[0].model), failed_batches_message(batches))]

    def performance(self, item: OutboxItem) -> list[Post]:
        """Metrics out of bounds."""
        record = self.store.performance(int(item.payload["performance_id"]))
        return [Post(self._channel(record.model), performance_alert(record, self.config.slack.command))]

    def _chart_url(self, batch: Batch) -> str:
        """The long-lived MLflow run of the version that a batch was checked for."""
        run = self.store.tracking_run(place_of(self.config), batch.model, batch.baseline_version)
        return "" if run is None else run.url

    def pictures(self, batch: Batch) -> dict[str, bytes]:
        """The same pictures for another place: PNG by the name of the file."""
        return {file.name: file.content for file in self._plots(batch)}

    def sample(self, item: OutboxItem) -> list[Post]:
        """Rows to label, in the incident's thread or by themselves."""
        sample = self.store.sample(str(item.payload["sample"]))
        content = self.store.sample_file(str(item.payload["sample"]))
        if sample is None or content is None:
            raise UnsayableError(f"there is no sample {item.payload['sample']}")
        model = self.config.model(sample.model)
        incident = None if item.incident_id is None else self._incident(item)
        channel = self._channel(sample.model) if incident is None else incident.channel
        thread = None if incident is None else _thread_of(incident)
        name = file_name(sample)
        file = File(name, name, f"{sample.rows} rows to label", content)
        warnings = item.payload.get("warnings", ())
        message = sample_message(sample, labelling.folder_name(model), warnings)
        return [Post(channel, message, thread, files=(file,), otherwise=not_uploaded(sample))]

    def _plots(self, batch: Batch) -> tuple[File, ...]:
        """Pictures of the worst features; without a stored profile or baseline there are none."""
        stored = self.store.profile(batch.id)
        if stored is None or batch.report is None:
            return ()
        try:
            baseline = load_baseline(self.store.version(batch.model, int(batch.baseline_version)))
        except DataError as error:
            log.warning("no plots: %s", error)
            return ()
        from bot.slack.plots import alt_text, distribution_plot

        current = Profile.from_bytes(stored)
        files: dict[str, File] = {}
        for finding in batch.report.drifted:
            if len(files) == PLOTS:
                break
            if finding.feature in files or finding.feature not in current.features:
                continue
            reference, part = baseline.features[finding.feature], current.features[finding.feature]
            try:
                png = distribution_plot(finding.feature, reference, part, finding)
            except Exception:
                log.exception("the picture of %s is left out", finding.feature)
                continue
            name = f"batch{batch.id}-{len(files) + 1}.png"
            files[finding.feature] = File(name, finding.feature, alt_text(finding.feature, finding), png)
        return tuple(files.values())

    def _turn(self, retrain: Retrain) -> list[str]:
        """What a retrain waits for that cannot begin yet."""
        running = [other.model for other in self.store.active_retrains() if other.state == "running"]
        if retrain.state != "queued" or len(running) < self.config.training.side_by_side:
            return []
        names = " and ".join(filter(None, (", ".join(running[:-1]), running[-1])))
        return [f"it waits its turn: {names} {'is' if len(running) == 1 else 'are'} being trained"]

    def _start_again(self, retrain: Retrain) -> list[Post]:
        """The first reply once it is over: it loses its steps and its button."""
        before = self.store.post_of(f"retrain_started:{retrain.id}")
        return [Post(before[0], retrains.retrain_started(retrain), edit_ts=before[1])] if before else []

    def _result_again(self, retrain: Retrain) -> list[Post]:
        before = self.store.post_of(f"retrain_finished:{retrain.id}")
        if before is None or retrain.outcome is None:
            return []
        return [Post(before[0], self._result(retrain, retrain.outcome), edit_ts=before[1])]

    def _result(self, retrain: Retrain, outcome: RetrainOutcome) -> Message:
        shadow = self.store.shadow(retrain.id) if retrain.shadow_batches else None
        return retrains.retrain_finished(retrain, outcome, self._expected(retrain), shadow)

    def _expected(self, retrain: Retrain) -> Expectation | None:
        return self.store.expectation(retrain.model, retrain.champion_version, retrain.files)

    def _promoted(self, retrain: Retrain) -> Message:
        if retrain.outcome is None:
            raise UnsayableError(f"retrain {retrain.id} has no result")
        return retrains.promoted(retrain, retrain.outcome.version.version, retrain.decided_by or "")

    def _root(self, retrain: Retrain) -> tuple[str, str | None]:
        """Channel and thread of a retrain: its incident's, or its own first message."""
        if retrain.incident_id is not None:
            incident = self.store.incident(retrain.incident_id)
            return incident.channel, _thread_of(incident)
        return self.store.post_of(f"retrain_started:{retrain.id}") or (self._channel(retrain.model), None)

    def _incident(self, item: OutboxItem) -> Incident:
        if item.incident_id is None:
            raise UnsayableError(f"{item.key} names no incident")
        return self.store.incident(item.incident_id)

    def _retrain(self, item: OutboxItem) -> Retrain:
        return self.store.retrain(int(item.payload["retrain_id"]))

    def _channel(self, model: str) -> str:
        try:
            return self.config.channel(self.config.model(model))
        except LookupError as error:
            raise UnsayableError(str(error)) from error

    def _baseline_rows(self, batch: Batch) -> int | None:
        try:
            return load_baseline(self.store.version(batch.model, int(batch.baseline_version))).rows
        except (DataError, StateError) as error:
            log.warning("the size of the baseline is not shown: %s", error)
            return None


def _thread_of(incident: Incident) -> str:
    if incident.ts is None:
        raise NotYetError(f"the message of incident {incident.id} is not in Slack yet")
    return incident.ts


_KINDS: dict[str, Callable[[Renderer, OutboxItem], list[Post]]] = {
    "incident": Renderer.incident,
    "details": Renderer.details,
    "retrain_started": Renderer.retrain_started,
    "retrain_finished": Renderer.retrain_finished,
    "retrain_matrix": Renderer.retrain_matrix,
    "retrain_failed": Renderer.retrain_failed,
    "shadow": Renderer.shadow,
    "shadow_complete": Renderer.shadow_complete,
    "promoted": Renderer.promoted,
    "kept": Renderer.kept,
    "rolled_back": Renderer.rolled_back,
    "back_in_use": Renderer.back_in_use,
    "broken_feed": Renderer.broken_feed,
    "failed_batches": Renderer.failed_batches,
    "unmeasured": Renderer.unmeasured,
    "performance": Renderer.performance,
    "sample": Renderer.sample,
}
