"""`/drift …` and the @mention: the same words, the same answers."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from html import unescape  # Slack escapes &, < and > as HTML does
from typing import Any

from slack_bolt import Ack, App, Respond, Say
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import status
from bot.config import ModelSection
from bot.listing import candidates, inbox_trouble, settled
from bot.monitoring import BeingChecked, NotTrained
from bot.slack import ids
from bot.slack.actions import open_approval, refused
from bot.slack.answers import answer, beside, reference
from bot.slack.batch_blocks import check_reply
from bot.slack.blocks import Message, actions, button, section, without_tables
from bot.slack.samples import hand_out
from bot.slack.services import Services
from bot.slack.status_blocks import help_blocks, history_blocks, refusal, status_blocks
from bot.slack.text import escape, name, place
from bot.slack.version_blocks import rollback_choice
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location, location
from state.records import Retrain, StateError

Tell = Callable[[Message], Any]
WAIT = 10.0  # seconds for another check of the same file; the threads are few
SHOWN = 3  # batches of one command; a response URL takes five answers


class Misunderstood(Exception):
    """A command that cannot be followed: the text says what would be right."""


def register(app: App, services: Services) -> None:
    """Listen to the slash command and to mentions."""
    commands = Commands(services)

    @app.command(services.config.slack.command)
    def slash(ack: Ack, body: dict[str, Any], client: WebClient, respond: Respond) -> None:
        ack()

        def tell(message: Message) -> None:
            answer(respond, message)

        words = _words(str(body.get("text") or ""))
        if words[:1] == ["retrain"]:
            commands.guarded(tell, lambda: commands.retrain_form(words[1:], body, client, tell))
        elif words[:1] == ["cancel"]:
            commands.guarded(tell, lambda: commands.cancel(words[1:], body["user_id"], client, tell))
        elif words[:1] == ["sample"]:
            commands.guarded(tell, lambda: commands.sample(words[1:], body["user_id"], client, tell))
        else:
            commands.answer(words, tell)

    answered: deque[str] = deque(maxlen=500)  # Slack repeats an event whose acknowledgement was lost

    @app.event("app_mention")
    def mention(body: dict[str, Any], event: dict[str, Any], client: WebClient, say: Say) -> None:
        if body.get("event_id") in answered:
            return
        answered.append(str(body.get("event_id")))
        words = _words(re.sub(r"<@[^>]+>", " ", str(event.get("text", ""))))
        thread = event.get("thread_ts") or event["ts"]

        def tell(message: Message) -> None:
            shape = {"thread_ts": thread, "unfurl_links": False, "unfurl_media": False}
            try:
                say(text=message.text, blocks=message.blocks, **shape)
            except SlackApiError as error:
                if error.response.get("error") != "invalid_blocks":
                    raise
                say(text=message.text, blocks=without_tables(message).blocks, **shape)

        if words[:1] == ["cancel"]:
            commands.guarded(tell, lambda: commands.cancel(words[1:], str(event["user"]), client, tell))
        elif words[:1] == ["sample"]:
            commands.guarded(tell, lambda: commands.sample(words[1:], str(event["user"]), client, tell))
        else:
            commands.answer(words, tell)

    @app.event("message")
    @app.event("file_shared")
    def other() -> None:
        """Ordinary talk and files are not for the bot; an event nobody listens to is not acknowledged."""


def _words(text: str) -> list[str]:
    """What was said, the verb in small letters: a phone begins a sentence with a capital."""
    verb, *rest = unescape(text).split() or [""]
    return [verb.lower(), *rest] if verb else []


class Commands:
    """The subcommands, each with words and a way to answer."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def answer(self, words: Sequence[str], tell: Tell) -> None:
        """Do what the words say."""
        known: dict[str, Callable[[Sequence[str], Tell], None]] = {
            "check": self.check,
            "status": self.status,
            "history": self.history,
            "retrain": self.retrain_button,
            "rollback": self.rollback,
            "help": self.help,
        }
        verb = words[0].lower() if words else "help"
        action = known.get(verb)
        if action is None:
            config = self.services.config
            shown = help_blocks(config.slack.command, models=[m.name for m in config.models])
            tell(
                Message(
                    f"I do not know “{escape(verb)}”.",
                    [section(f"I do not know {name(verb)}."), *shown.blocks],
                )
            )
            return
        self.guarded(tell, lambda: action(words[1:], tell))

    def guarded(self, tell: Tell, work: Callable[[], None]) -> None:
        """Known errors are told in their own words, unknown ones with a reference that stands in the log."""
        try:
            work()
        except (Misunderstood, NotTrained, BeingChecked, StateError, DataError) as error:
            tell(refused(error))
        except Exception as error:  # noqa: BLE001  logged by reference()
            tell(refusal(reference(error)))

    def help(self, words: Sequence[str], tell: Tell) -> None:
        config = self.services.config
        tell(help_blocks(config.slack.command, models=[m.name for m in config.models]))

    def status(self, words: Sequence[str], tell: Tell) -> None:
        models = [self._model(words[0])] if words else self.services.config.models
        read = [status.read(m, self.services.store, self.services.now()) for m in models]
        tell(status_blocks(read))

    def history(self, words: Sequence[str], tell: Tell) -> None:
        model = self._model(words[0] if words else None)
        tell(history_blocks(model.name, self.services.store.history(model.name, 30)))

    def check(self, words: Sequence[str], tell: Tell) -> None:
        """A named file of the inbox, or all that is new there, checked beside the listener."""
        file, model = self._file_and_model(words)
        path = None if file is None else self._in_inbox(model, file)
        doing = f"Looking into the inbox of {model.name} …" if path is None else f"Checking {path.name} …"
        tell(Message(escape(doing), [section(escape(doing))]))
        if path is None:
            beside(self.services.work, self.guarded, tell, lambda: self._scan(model, tell))
        else:
            beside(self.services.work, self.guarded, tell, lambda: self._check(model, path, tell))

    def _check(self, model: ModelSection, path: Location, tell: Tell) -> None:
        """Answers the person; only bytes that were never seen before may raise an alarm for everybody."""
        if not settled(path, self.services.config.settle_seconds):
            raise Misunderstood(f"{path.name} is still being written: ask again in a moment")
        known = self.services.store.seen(model.name, sha256_file(path)) is not None
        checked = self.services.monitoring.check(model, path, patience=WAIT)
        if not known:
            self.services.monitoring.notify(model, checked.batch)
            self.services.wake()
        tell(check_reply(checked.batch))

    def _scan(self, model: ModelSection, tell: Tell) -> None:
        self.services.monitoring.champion(model)
        if trouble := inbox_trouble(model.inbox):
            raise Misunderstood(f"Nothing can come into the inbox of {model.name}: {trouble}")
        batches = self.services.monitoring.scan(model, self.services.inboxes[model.name])
        self.services.wake()
        if not batches:
            tell(refusal(f"There is no new file in the inbox of {model.name}."))
        for batch in batches[-SHOWN:]:
            tell(check_reply(batch))
        if len(batches) > SHOWN:
            tell(refusal(f"{len(batches) - SHOWN} more files were checked: see {self._command} history."))

    @property
    def _command(self) -> str:
        return self.services.config.slack.command

    def retrain_form(self, words: Sequence[str], body: dict[str, Any], client: WebClient, tell: Tell) -> None:
        """The approval form at once: a slash command carries a trigger."""
        model = self._model(words[0] if words else None)
        permission = self.services.permit(client, body["user_id"], model, "retrain")
        if not permission.granted:
            tell(refusal(permission.refusal))
            return
        incident = self.services.store.open_incident_of(model.name)
        open_approval(self.services, client, body["trigger_id"], model, incident if incident else None)

    def sample(self, words: Sequence[str], user: str, client: WebClient, tell: Tell) -> None:
        """Rows to label, of a named file of the inbox or of the newest checked one, as a file in channel or thread."""
        file, model = self._file_and_model(words)
        permission = self.services.permit(client, user, model, "draw rows to label")
        if not permission.granted:
            tell(refusal(permission.refusal))
            return
        store, incident = self.services.store, None
        if file is None:
            batch = store.last_checked(model.name)
            if batch is None:
                raise Misunderstood(f"No batch of {model.name} was checked yet: name a file of its inbox.")
            path, digest, newest = location(batch.path), batch.sha256, store.open_incident_of(model.name)
            incident = newest if newest is not None and newest.last_batch_id == batch.id else None
        else:
            path, digest = self._in_inbox(model, file), None
        where = place(self.services.config.channel(model))
        if incident is not None:
            where = f"the thread of incident {incident.id} in {place(incident.channel)}"
        doing = f"Drawing rows of {escape(path.name)} to label; the file comes into {where} …"
        tell(Message(doing, [section(doing)]))
        again = f":{self.services.now():%Y%m%d%H%M%S}"  # who asks in words may want it once more

        def work() -> None:
            hand_out(self.services, model, path, user, incident, digest, again=again)
            self.services.wake()

        beside(self.services.work, self.guarded, tell, work)

    def retrain_button(self, words: Sequence[str], tell: Tell) -> None:
        """A mention carries no trigger, so it is answered with the button that has one."""
        model = self._model(words[0] if words else None)
        text = f"Retrain {name(model.name)} on its old and new labelled data?"
        press = button("Choose data and approve", ids.RETRAIN_OPEN, model.name, style="primary")
        tell(Message(f"Retrain {escape(model.name)}?", [section(text), actions(press)]))

    def rollback(self, words: Sequence[str], tell: Tell) -> None:
        """The earlier versions with a button each; who presses must be an approver."""
        model = self._model(words[0] if words else None)
        champion, past = (
            self.services.monitoring.champion(model),
            self.services.store.past_champions(model.name),
        )
        if not past:
            raise Misunderstood(f"{model.name} has no earlier version to go back to.")
        tell(rollback_choice(model.name, champion.record.version, past))

    def cancel(self, words: Sequence[str], user: str, client: WebClient, tell: Tell) -> None:
        """`cancel`, `cancel MODEL`, `cancel NUMBER`: end the retrain that is queued or running."""
        retrain = self._active(words[0] if words else None)
        model = self._model(retrain.model)
        permission = self.services.permit(client, user, model, "cancel a retrain")
        if not permission.granted:
            tell(refusal(permission.refusal))
            return
        cancelled = self.services.retraining.cancel(retrain.id, user)
        self.services.wake()
        said = f"Retrain {cancelled.id} of {escape(cancelled.model)} is cancelled."
        tell(Message(said, [section(said)]))

    def _active(self, wanted: str | None) -> Retrain:
        if wanted is not None and re.fullmatch(r"\d{1,18}", wanted):
            return self.services.store.retrain(int(wanted))
        model = self._model(wanted).name if wanted else None
        active = self.services.store.active_retrains(model)
        if not active:
            raise Misunderstood("No retrain is queued or running.")
        if len(active) > 1:
            there = ", ".join(f"{retrain.id} ({retrain.model})" for retrain in active)
            raise Misunderstood(f"Several retrains are queued or running, name one: {there}.")
        return active[0]

    def _model(self, wanted: str | None) -> ModelSection:
        try:
            return self.services.config.model(wanted)
        except LookupError as error:
            raise Misunderstood(str(error)) from error

    def _file_and_model(self, words: Sequence[str]) -> tuple[str | None, ModelSection]:
        """`check`, `check FILE`, `check MODEL`, `check FILE MODEL`; file names may contain spaces."""
        names = {m.name for m in self.services.config.models}
        if words and words[-1] in names:
            return " ".join(words[:-1]) or None, self._model(words[-1])
        return " ".join(words) or None, self._model(None)

    def _in_inbox(self, model: ModelSection, file: str) -> Location:
        """Only files of the inbox can be named from Slack: nobody reads the machine through the bot."""
        there = candidates(model.inbox)
        if not there and (trouble := inbox_trouble(model.inbox)):
            raise Misunderstood(f"Nothing can come into the inbox of {model.name}: {trouble}")
        for path in there:
            if path.name == file:
                return path
        newest = ", ".join(p.name for p in there[-5:]) or "it is empty"
        raise Misunderstood(f'There is no file "{file}" in the inbox of {model.name} (newest: {newest}).')
