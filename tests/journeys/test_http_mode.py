"""HTTP mode: the same bot behind a request URL, with Slack's signature checked."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request

from bot.bootstrap import Bot
from bot.slack import ids
from bot.slack.connection import HttpConnection
from bot.workspace import Workspace
from bot.workspace.delivery import sign
from tests.journeys.conftest import NewSite
from tests.journeys.stage import ANNA, CHANNEL, VIC, alert, ask, configuration, open_form, sees, told

HTTP = {"mode": "http", "port": 0}


def port_of(bot: Bot) -> int:
    assert isinstance(bot._connection, HttpConnection)
    return bot._connection.port


def test_the_journey_over_http(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded, configuration(slack=HTTP))
    site.bring_labels()
    site.drop(site.files.drifted(1))
    url = f"http://127.0.0.1:{port_of(site.start(connected=False))}/slack/events"
    embedded.stop()
    embedded.request_url = url
    embedded.start()

    anna, vic = site.person(ANNA), site.person(VIC)
    alert(anna)
    assert "significant drift" in ask(anna, "status")
    anna.say(CHANNEL, "@DriftCatcher help")
    sees(anna, "I watch the data")
    vic.click(CHANNEL, alert(vic)["ts"], ids.INCIDENT_APPROVE)
    told(vic, "not an approver")
    open_form(anna)
    assert anna.submit() == {}
    sees(anna, f"Approved by <@{ANNA.id}>")
    assert len(site.retrains()) == 1


def test_a_request_that_slack_did_not_sign(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded, configuration(slack=HTTP))
    port = port_of(site.start(connected=False))
    body = urllib.parse.urlencode({"command": "/drift", "text": "status", "user_id": ANNA.id}).encode()
    now = int(time.time())
    right = sign(embedded.signing_secret, body, now)

    assert post(port, body, right) == 200
    assert post(port, body, {}) == 401
    assert post(port, body, sign("another secret", body, now)) == 401
    assert post(port, body + b"&more=1", right) == 401
    assert post(port, body, sign(embedded.signing_secret, body, now - 301)) == 401
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        assert answer.status == 200


def post(port: int, body: bytes, headers: dict[str, str]) -> int:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/slack/events", body, {**kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
