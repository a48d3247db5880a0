"""Whether a verdict becomes an alert: pure, with the reason said and the time given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from detectors.report import Verdict
from state.records import Incident, Silence


@dataclass(frozen=True, slots=True)
class Notify:
    """What to do about a checked batch.

    Attributes:
        action: open a new incident, update the one that is open, say it without an incident, or stay quiet.
        reason: why, for the log and for `--notify`.
        later: quiet for now; to be decided again when the cool-down or the snooze is over.
    """

    action: Literal["open", "update", "alert", "quiet"]
    reason: str
    later: bool = False


def decide(
    verdict: Verdict,
    *,
    alert_on: Literal["warning", "drift"],
    incident: Incident | None,
    silence: Silence | None,
    last_alert: datetime | None,
    cooldown: timedelta,
    checked_at: datetime,
    newest: bool,
    now: datetime,
) -> Notify:
    """Decide for one batch: an open incident is updated, silences and the cool-down keep new ones back.

    What the cool-down alone keeps back opens an incident once it is over, if no batch (`newest`) was checked since.
    """
    alerting = {"drift"} if alert_on == "drift" else {"drift", "warning"}
    if verdict not in alerting:
        return Notify("quiet", f"the verdict is {verdict.replace('_', ' ')}")
    if incident is not None:
        return Notify("update", f"incident {incident.id} is open")
    if silence is not None:
        snoozed = f"snoozed until {silence.until:%Y-%m-%d %H:%M} UTC by {silence.by}"
        return Notify("quiet", snoozed, later=newest)
    if last_alert is not None:
        until = last_alert + cooldown
        if now < until:
            return Notify(
                "quiet", f"the alert cool-down lasts until {until:%Y-%m-%d %H:%M} UTC", later=newest
            )
        if checked_at < until and not newest:
            return Notify("quiet", "the alert cool-down held it back, and a newer batch was checked since")
    return Notify("open", f"the verdict is {verdict}")


def speaks_again(
    verdict: Verdict, incident: Incident, *, silence: Silence | None, cooldown: timedelta, now: datetime
) -> bool:
    """Whether a batch that joins an open incident is said aloud: an edit of the message notifies nobody.

    At once when the drift got worse, else an alert cool-down after the incident last spoke; never while snoozed.
    """
    if silence is not None:
        return False
    worse = incident.spoke_verdict == "warning" and verdict == "drift"
    return worse or incident.spoke_at is None or now >= incident.spoke_at + cooldown


def notice(
    reason: str,
    *,
    last_said: datetime | None,
    cooldown: timedelta,
    now: datetime,
) -> Notify:
    """Decide for what is no incident (a broken feed, files that failed, the performance): one a cool-down.

    A snooze is for the drift that somebody has seen: it does not keep this back.
    """
    if last_said is not None and now < last_said + cooldown:
        said = f"{reason}, and this was said already: not again before"
        return Notify("quiet", f"{said} {last_said + cooldown:%Y-%m-%d %H:%M} UTC", later=True)
    return Notify("alert", reason)
