"""Answers to one person: through the response URL of their click or command, which may refuse."""

from __future__ import annotations

import logging
from concurrent.futures import Executor, Future
from typing import Any

from slack_bolt import Respond

from bot.slack.blocks import Message, without_tables

log = logging.getLogger(__name__)


def answer(respond: Respond, message: Message) -> None:
    """Say it to the person alone; once more without tables where Slack refuses, and the log has the rest.

    It never raises: of a listener that fails, Bolt may forget that it has acknowledged, and Slack would say so.
    """
    for attempt in (message, without_tables(message)):
        try:
            said: Any = respond(
                text=attempt.text, blocks=attempt.blocks, response_type="ephemeral", replace_original=False
            )
        except Exception:
            log.exception("an answer did not reach Slack: %s", message.text)
            return
        if said.status_code == 200:
            return
    log.error("an answer did not reach Slack (%s %s): %s", said.status_code, said.body, message.text)


def reference(error: BaseException) -> str:
    """Log an error nobody expected under a reference, and the sentence that names it."""
    number = f"{id(error) & 0xFFFFFF:06x}"
    log.error("reference %s", number, exc_info=error)
    return f"That did not work, and it is our fault. The bot's log has it under {number}."


def beside(executor: Executor, work: Any, *arguments: Any) -> None:
    """Do slow work beside the listener; what it raises is logged."""

    def report(done: Future[Any]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("work beside a listener failed", exc_info=error)

    executor.submit(work, *arguments).add_done_callback(report)
