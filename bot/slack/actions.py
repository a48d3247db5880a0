"""Buttons and the approval form: acknowledged first, permission checked again at every click, nothing ignored."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from functools import partial
from threading import Lock, Thread, Timer
from typing import Any

from slack_bolt import Ack, App, Respond
from slack_sdk import WebClient

from bot import expecting
from bot.config import ModelSection
from bot.expectation_text import expectation_line
from bot.labelling import folder_name, unusable, waiting
from bot.monitoring import NotTrained
from bot.quarantine import Quarantine
from bot.slack import ids, modals
from bot.slack.answers import answer, beside, reference
from bot.slack.blocks import Message, section
from bot.slack.incident_blocks import snooze_choice
from bot.slack.samples import hand_out
from bot.slack.services import Services
from bot.slack.status_blocks import refusal
from bot.slack.text import capital, file_name, person, when
from bot.slack.version_blocks import rolled_back_to
from detectors.errors import DataError
from detectors.location import location
from state.records import AlreadyDecided, CoolingDown, Incident, Retrain, StateError, Trained
from trainers.base import DataFile, TrainingError
from trainers.judgement import Expectation

log = logging.getLogger(__name__)

Body = dict[str, Any]
ANSWER_WITHIN = 2.0  # seconds; Slack waits three for the answer to a form
LATE = 1.0  # seconds after which that answer has arrived for certain, and another may follow it


class Refused(Exception):
    """The click is not carried out; the text is for the person who clicked."""


KNOWN = (Refused, StateError, TrainingError, DataError, NotTrained)


def register(app: App, services: Services) -> None:
    """Listen to every button and to the form."""
    clicks = Clicks(services)
    handlers: dict[str, Callable[[Body, WebClient], None]] = {
        ids.INCIDENT_APPROVE: clicks.approve,
        ids.INCIDENT_SNOOZE: clicks.snooze,
        ids.INCIDENT_CONFIRM: clicks.confirm,
        ids.INCIDENT_DISMISS: clicks.dismiss,
        ids.INCIDENT_DETAILS: clicks.details,
        ids.INCIDENT_SAMPLE: clicks.sample,
        ids.BATCH_QUARANTINE: clicks.quarantine,
        ids.BATCH_RELEASE: clicks.release,
        ids.RETRAIN_OPEN: clicks.open_form,
        ids.RETRAIN_CANCEL: clicks.cancel,
        ids.RETRAIN_PROMOTE: clicks.promote,
        ids.RETRAIN_KEEP: clicks.keep,
        ids.RETRAIN_ROLLBACK: clicks.roll_back,
        ids.VERSION_ROLLBACK: clicks.roll_back_to,
    }
    for action_id, handler in handlers.items():
        app.action(action_id)(_listener(handler, services))

    @app.view(ids.APPROVE_VIEW)
    def submitted(ack: Ack, body: Body, client: WebClient, view: dict[str, Any]) -> None:
        done = services.decisions.submit(clicks.submit, body, client, view)
        wait([done], ANSWER_WITHIN)
        if not done.done():  # Slack is slow to say who is in a group, or the state file is busy
            ack(response_action="update", view=modals.working("Approve retrain", "One moment …"))
            done.add_done_callback(lambda late: Timer(LATE, _tell_late, (late, client, view["id"])).start())
            return
        error = done.exception()
        if error is None:
            ack()
        elif isinstance(error, CoolingDown) and modals.asks_to_override(view):
            ack(response_action="errors", errors=modals.cooling(error.until))  # the form stays as it is
        else:
            ack(response_action="update", view=modals.working("Not started", _reason(error)))


def _reason(error: BaseException) -> str:
    """Why the form was not carried out; what nobody expected is logged under a reference."""
    return _words(error) if isinstance(error, KNOWN) else reference(error)


def _tell_late(done: Future[None], client: WebClient, view_id: str) -> None:
    error = done.exception()
    if error is None:
        view = modals.working("Approved", "The retrain is queued; its thread says how it goes.")
    else:
        view = modals.working("Not started", _reason(error))
    try:
        client.views_update(view_id=view_id, view=view)
    except Exception as failed:  # noqa: BLE001  the form was closed meanwhile; the thread has what was done
        log.info("the form could not be answered: %s", failed)


def _listener(handler: Callable[[Body, WebClient], None], services: Services) -> Callable[..., None]:
    """Ack, then do it; a refusal is told to the one who clicked, anything unknown too, with a reference."""

    def listener(ack: Ack, body: Body, client: WebClient, respond: Respond) -> None:
        ack()

        try:
            handler(body, client)
        except KNOWN as error:
            answer(respond, refused(error))
        except Exception as error:  # noqa: BLE001  logged by reference()
            answer(respond, refusal(reference(error)))
        services.wake()

    return listener


def refused(error: Exception) -> Message:
    """The refusal; only words of our own may mention people, a file name in them may not."""
    return refusal(_words(error), ours=isinstance(error, (Refused, AlreadyDecided, CoolingDown)))


def _words(error: BaseException) -> str:
    """The sentence for a person, with Slack's own times and mentions."""
    if isinstance(error, AlreadyDecided):
        return f"Already {error.what} by {person(error.who)} at {when(error.when)}."
    if isinstance(error, CoolingDown):
        return (
            f"This model was retrained less than a cool-down ago: the next retrain may start {when(error.until)}. "
            "Tick “Override the cool-down” in the form if it cannot wait."
        )
    return str(error)


class Clicks:
    """What each click does. Bodies are Slack's; ids in them are looked up, never trusted to be current."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._drawing: set[int] = set()  # incidents for which rows to label are being drawn
        self._drawing_lock = Lock()

    def approve(self, body: Body, client: WebClient) -> None:
        """Open the form for an incident that is still open."""
        incident = self._incident(body)
        model = self._permitted(body, client, incident.model, "approve a retrain")
        if incident.state != "open":
            raise Refused(self._too_late(incident))
        if reason := self.services.retraining.refusal(model, incident_id=incident.id):
            raise StateError(capital(reason))
        open_approval(self.services, client, body["trigger_id"], model, incident)

    def open_form(self, body: Body, client: WebClient) -> None:
        """The form without an incident, or for the one that is open."""
        model = self._permitted(body, client, _value(body), "approve a retrain")
        open_approval(
            self.services, client, body["trigger_id"], model, self.services.store.open_incident_of(model.name)
        )

    def submit(self, body: Body, client: WebClient, view: dict[str, Any]) -> None:
        """The form came back: approve, bound to what was seen when it was opened."""
        seen = json.loads(view["private_metadata"])
        model = self._permitted(body, client, seen["model"], "approve a retrain")
        champion = self.services.store.champion(model.name)
        if champion is None or champion.record.version != seen["champion"]:
            raise Refused(
                "The version in use has changed since this form was opened. Look again and approve again."
            )
        files = self.services.retraining.chosen(model, modals.chosen_files(view))
        self.services.retraining.approve(
            model,
            files,
            body["user"]["id"],
            incident_id=seen["incident"],
            why=modals.reason(view),
            force=modals.override(view),
        )
        self.services.wake()

    def snooze(self, body: Body, client: WebClient) -> None:
        """No new alert for the chosen time, or alerts again from now on; who snoozed is shown."""
        chosen = body["actions"][0].get("selected_option") or {}
        number, duration = snooze_choice(str(chosen.get("value", "")))
        incident = self.services.store.incident(number)
        self._permitted(body, client, incident.model, "snooze")
        store, by, now = self.services.store, body["user"]["id"], self.services.now()
        with store.together():
            if duration is None:
                silence = store.end_snooze(incident.model, by, now, incident.id)
                self._edit(incident, f"awake:{silence.id}")
            else:
                silence = store.snooze(incident.model, now + duration, by, now, incident.id)
                self._edit(incident, f"snoozed:{silence.id}")

    def confirm(self, body: Body, client: WebClient) -> None:
        """The drift is true: remembered for `driftcatcher tune` and shown; nothing else changes."""
        incident = self._incident(body)
        self._permitted(body, client, incident.model, "confirm a drift")
        store, by = self.services.store, body["user"]["id"]
        with store.together():
            said = {one.who: one.verdict for one in store.feedback_on(incident.id)}
            if said.get(by) == "true_drift":
                raise Refused("You have confirmed this as true drift already.")
            kept = store.give_feedback("true_drift", by, "", self.services.now(), incident_id=incident.id)
            self._edit(incident, f"feedback:{kept.id}")

    def dismiss(self, body: Body, client: WebClient) -> None:
        """Close the incident as a false alarm."""
        incident = self._incident(body)
        self._permitted(body, client, incident.model, "dismiss")
        store = self.services.store
        with store.together():
            if not store.dismiss_incident(incident.id, body["user"]["id"], "", self.services.now()):
                raise Refused(self._too_late(store.incident(incident.id)))
            self._edit(incident, "dismissed")

    def details(self, body: Body, client: WebClient) -> None:
        """The long table of the newest batch, in the thread, for everybody; nothing is said twice."""
        incident = self._incident(body)
        key = f"details:{incident.last_batch_id}"
        now = self.services.now()
        if (
            self.services.store.enqueue(
                "details", key, {"batch_id": incident.last_batch_id}, incident.id, now
            )
            is None
        ):
            raise Refused("The details of the newest batch are in this message's thread.")

    def sample(self, body: Body, client: WebClient) -> None:
        """Rows of the newest batch to label, into the thread; drawn beside the listener: the model scores them."""
        incident = self._incident(body)
        model = self._permitted(body, client, incident.model, "draw rows to label")
        batch, services = self.services.store.batch(incident.last_batch_id), self.services

        def work() -> None:
            try:
                new = hand_out(
                    services, model, location(batch.path), body["user"]["id"], incident, batch.sha256
                )
            finally:
                self._drawing.discard(incident.id)
            if not new:
                raise Refused("The rows to label of the newest batch are in this message's thread.")

        with self._drawing_lock:
            if incident.id in self._drawing:
                raise Refused(
                    "Rows to label are being drawn already; the file comes into this message's thread."
                )
            self._drawing.add(incident.id)
        try:
            doing = f"Drawing rows of {file_name(batch.path)} to label; the file comes into this message's thread …"
            _whisper(body, client, Message(doing, [section(doing)]))
            self._later(body, client, work, executor=services.work)
        except BaseException:
            self._drawing.discard(incident.id)
            raise

    def quarantine(self, body: Body, client: WebClient) -> None:
        """Move the file of a broken feed aside."""
        batch = self.services.store.batch(_number(body))
        model = self._permitted(body, client, batch.model, "quarantine a batch")
        self._quarantine().put(model, batch, body["user"]["id"])

    def release(self, body: Body, client: WebClient) -> None:
        """Move it back; the next scan checks it again."""
        batch = self.services.store.batch(_number(body))
        model = self._permitted(body, client, batch.model, "release a batch")
        self._quarantine().release(model, batch, body["user"]["id"])

    def _quarantine(self) -> Quarantine:
        return Quarantine(self.services.store, self.services.now)

    def promote(self, body: Body, client: WebClient) -> None:
        """Make the challenger the champion, beside the listener: the registry may be slow."""
        retrain = self._retrain(body)
        self._permitted(body, client, retrain.model, "promote")
        if retrain.state not in ("succeeded", "kept"):
            raise Refused(_decided(retrain))
        self._later(body, client, lambda: self.services.retraining.promote(retrain, body["user"]["id"]))

    def cancel(self, body: Body, client: WebClient) -> None:
        """End a retrain that is queued or running."""
        retrain = self._retrain(body)
        self._permitted(body, client, retrain.model, "cancel a retrain")
        self.services.retraining.cancel(retrain.id, body["user"]["id"])

    def keep(self, body: Body, client: WebClient) -> None:
        """Keep the champion."""
        retrain = self._retrain(body)
        self._permitted(body, client, retrain.model, "keep the current version")
        if retrain.state != "succeeded":
            raise Refused(_decided(retrain))
        self.services.retraining.keep(retrain, body["user"]["id"])

    def roll_back(self, body: Body, client: WebClient) -> None:
        """Take the promotion back."""
        retrain = self._retrain(body)
        model = self._permitted(body, client, retrain.model, "roll back")
        if retrain.state != "promoted":
            raise Refused(_decided(retrain))
        self._later(
            body,
            client,
            lambda: self.services.retraining.roll_back(model, body["user"]["id"], retrain=retrain),
        )

    def roll_back_to(self, body: Body, client: WebClient) -> None:
        """Make the chosen earlier version the champion again, if the one that was seen is in use still."""
        name, version, seen = _value(body).rsplit(" ", 2)
        model = self._permitted(body, client, name, "roll back")
        by = body["user"]["id"]

        def work() -> None:
            self._seen_in_use(name, int(seen))  # it may have waited behind another move
            self.services.retraining.roll_back(model, by, to=int(version))

        self._seen_in_use(name, int(seen))
        self._later(body, client, work, rolled_back_to(name, int(version)))

    def _seen_in_use(self, model: str, seen: int) -> None:
        champion = self.services.store.champion(model)
        if champion is None or champion.record.version != seen:
            raise Refused("Another version has come into use since this was shown. Look again.")

    def _later(
        self,
        body: Body,
        client: WebClient,
        work: Callable[[], object],
        done: Message | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Do slow work beside the listener; the person is told what went wrong in the thread, or that it is `done`."""

        def run() -> None:
            said = done
            try:
                work()
            except Exception as error:  # noqa: BLE001  logged by reference()
                said = refused(error) if isinstance(error, KNOWN) else refusal(reference(error))
            if said is not None:
                _whisper(body, client, said)
            self.services.wake()

        beside(executor or self.services.decisions, run)

    def _permitted(self, body: Body, client: WebClient, model: str, what: str) -> ModelSection:
        try:
            section = self.services.config.model(model)
        except LookupError as error:
            raise Refused(str(error)) from error
        permission = self.services.permit(client, body["user"]["id"], section, what)
        if not permission.granted:
            raise Refused(permission.refusal)
        return section

    def _incident(self, body: Body) -> Incident:
        return self.services.store.incident(_number(body))

    def _retrain(self, body: Body) -> Retrain:
        return self.services.store.retrain(_number(body))

    def _edit(self, incident: Incident, what: str) -> None:
        key = f"incident:{incident.id}:{what}"
        self.services.store.enqueue("incident", key, {}, incident.id, self.services.now())

    def _too_late(self, incident: Incident) -> str:
        """Who was first, and when."""
        retrains = self.services.store.retrains(incident.model, 20)
        own = next((r for r in retrains if r.incident_id == incident.id), None)
        if incident.state in ("retraining", "decision") and own is not None:
            return f"Already approved by {person(own.approved_by)} at {when(own.approved_at)}."
        by = f" by {person(incident.closed_by)}" if incident.closed_by else ""
        at = f" at {when(incident.closed_at)}" if incident.closed_at else ""
        return f"This incident is {incident.state} already{by}{at}."


def open_approval(
    services: Services, client: WebClient, trigger_id: str, model: ModelSection, incident: Incident | None
) -> None:
    """Open the form at once (a trigger lives three seconds), then fill it: counting rows may take a while."""
    folder = folder_name(model)
    loading = modals.working("Approve retrain", f"Looking for labelled files in `{folder}` …")
    opened = client.views_open(trigger_id=trigger_id, view=loading)
    champion = services.store.champion(model.name)
    seen = {
        "model": model.name,
        "incident": incident.id if incident is not None and incident.state == "open" else None,
        "champion": champion.record.version if champion else None,
    }
    last = services.store.last_retrain_at(model.name)
    cooling = last + model.retrain_cooldown if last else None
    files = waiting(model, services.store)
    form = partial(
        modals.approve_modal,
        model.name,
        files,
        champion.record if champion else None,
        private_metadata=json.dumps(seen),
        labelled_folder=folder,
        label_column=model.label.column,
        cooling_until=cooling if cooling and cooling > services.now() else None,
        unusable=unusable(model),
    )
    said, todo = _expected(services, model, champion, [file.data_file() for file in files])
    shown = client.views_update(view_id=opened["view"]["id"], view=form(expected=said))
    if todo is not None:
        Thread(target=_fill_in, args=(client, shown["view"], form, todo), daemon=True).start()


def _expected(
    services: Services, model: ModelSection, champion: Trained | None, files: list[DataFile]
) -> tuple[str, Callable[[], Expectation] | None]:
    """What the form says at once of what a retrain would bring, and what is still to be worked out."""
    if champion is None or not files:
        return "", None
    known = expecting.kept(services.store, model, champion, files)
    if known is not None:
        return expectation_line(known), None
    if not expecting.small_enough(model, champion, files):
        return "", None
    make = partial(
        expecting.kept_or_made, services.config, services.store, model, champion, files, services.now
    )
    return "what it would bring is being estimated; you need not wait for it.", make


def _fill_in(
    client: WebClient, view: dict[str, Any], form: Callable[..., Any], make: Callable[[], Expectation]
) -> None:
    """The estimate, into the form if that is still as it was opened; it is kept in any case."""
    try:
        said = expectation_line(make())
    except (TrainingError, DataError) as error:
        said = f"what it would bring cannot be estimated: {error}"
    except Exception as error:  # noqa: BLE001  logged by reference(); the form must not wait for ever
        said = f"what it would bring cannot be estimated. {reference(error)}"
    try:
        client.views_update(view_id=view["id"], hash=view["hash"], view=form(expected=said))
    except Exception as failed:  # noqa: BLE001  the form was answered or closed meanwhile
        log.info("the form does not show the estimate: %s", failed)


def _whisper(body: Body, client: WebClient, said: Message) -> None:
    """Tell the person who clicked alone, where the button is."""
    client.chat_postEphemeral(
        channel=body["channel"]["id"],
        user=body["user"]["id"],
        thread_ts=body.get("message", {}).get("thread_ts"),
        text=said.text,
        blocks=said.blocks,
    )


def _value(body: Body) -> str:
    return str(body["actions"][0].get("value", ""))


def _number(body: Body) -> int:
    try:
        return int(_value(body))
    except ValueError:
        raise Refused("This button is from an older version of the bot and does nothing any more.") from None


def _decided(retrain: Retrain) -> str:
    who = f" by {person(retrain.decided_by)}" if retrain.decided_by else ""
    at = f" at {when(retrain.decided_at)}" if retrain.decided_at else ""
    return f"This retrain is {retrain.state.replace('_', ' ')} already{who}{at}."
