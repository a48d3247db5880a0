"""One state file, several processes: one bot owns it, commands may work beside it, nothing is said twice."""

from __future__ import annotations

import json
import os
import socket

from bot.workspace import Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ANNA,
    CHANNEL,
    MODEL,
    NEVER,
    PATIENCE,
    alert,
    alerts,
    ask,
    configuration,
    thread,
)


def test_a_second_bot_says_who_holds_the_state_and_ends(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    site.start()
    second = site.command("serve")
    out, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 3, said
    assert "in use by another bot" in said
    assert f"pid {os.getpid()} on {socket.gethostname()}" in said
    assert "Traceback" not in said
    assert out == ""
    assert embedded.connections == 1
    assert "version 1 in use" in ask(site.person(ANNA), "status")


def test_a_check_beside_a_running_bot_is_told_by_the_bot(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded, configuration(model={"schedule": NEVER}))
    site.start()
    file = str(site.files.drifted(1))
    for said_before in (False, True):
        check = site.command("check", file, "--notify", "--json")
        out, said = check.communicate(timeout=PATIENCE)
        assert check.returncode == 1, said
        assert json.loads(out)["verdict"] == "drift"
        assert ("reported already" if said_before else "the running bot delivers it") in said
    anna = site.person(ANNA)
    alert(anna)
    site.settled()
    assert len(alerts(anna)) == 1
    assert len(thread(anna)) == 2
    assert site.app.store.counters(MODEL)["batches"] == 1


def test_four_checks_of_one_file_at_the_same_moment(embedded: Workspace, new_site: NewSite) -> None:
    """Without a bot: one of them measures, and all that is to be said is said, once, before the last one ends."""
    site = new_site(embedded)
    file = str(site.files.drifted(1))
    checks = [site.command("check", file, "--notify", "--json") for _ in range(4)]
    answers = [check.communicate(timeout=2 * PATIENCE) for check in checks]
    assert [check.returncode for check in checks] == [1] * 4, answers
    reports = [json.loads(out) for out, _ in answers]
    assert all(report == reports[0] for report in reports)
    assert site.app.store.counters(MODEL)["batches"] == 1
    assert len(site.app.store.incidents(MODEL)) == 1
    anna = site.person(ANNA)
    assert site.outbox_is_empty(), answers
    assert len(alerts(anna)) == 1
    assert len(anna.messages(CHANNEL)) == 1
    assert len(thread(anna)) == 2
