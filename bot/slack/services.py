"""What the listeners need: the use cases, and a place for work that must not hold up a listener."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from slack_sdk import WebClient

from bot.authorization import Permission, may_decide
from bot.config import Config, ModelSection
from bot.inbox import Inbox
from bot.monitoring import Monitoring
from bot.retraining import Retraining
from bot.sampling import Sampling
from state.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """The bot's parts as the Slack listeners see them.

    `work` runs checks beside the listeners, `decisions` promotions, which must not wait behind them; `wake` tells
    the outbox and the job runner.
    """

    config: Config
    store: Store
    monitoring: Monitoring
    retraining: Retraining
    sampling: Sampling
    inboxes: dict[str, Inbox]
    work: Executor
    decisions: Executor
    wake: Callable[[], None]
    now: Callable[[], datetime]

    def permit(self, client: WebClient, user: str, model: ModelSection, what: str) -> Permission:
        """Whether the user may decide; a refusal goes into the audit log."""

        def members(group: str) -> list[str]:
            try:
                return list(client.usergroups_users_list(usergroup=group)["users"])
            except Exception as error:  # noqa: BLE001  who cannot be looked up is refused, and the log says why
                log.warning("the members of %s could not be looked up: %s", group, error)
                return []

        permission = may_decide(user, self.config.approvers(model), members, what, model.name)
        if not permission.granted:
            why = f"may not {what}"
            self.store.record_decision(user, "refuse", model.name, f"model {model.name}", why, self.now())
        return permission
