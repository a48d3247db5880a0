"""The demo's story: a stable batch, a drifted one, labels, an approval, a promotion, the way back."""

from __future__ import annotations

import errno
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.demo.setting import APPROVER, CHANNEL, VIEWER, Stage, mlflow_ui, stage
from bot.slack import ids, modals
from bot.workspace import Person

Json = dict[str, Any]
PATIENCE = 180.0  # seconds for one step; a slow machine trains slowly


def play(*, headless: bool, port: int, folder: Path | None, seed: int) -> int:
    """Play for a person until Ctrl-C, or alone; the exit status."""
    if folder and folder.exists() and any(folder.iterdir()):
        _progress(f"error: {folder} is not empty: the story begins with a folder of its own, name a new one")
        return 2
    where = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="driftcatcher-demo-"))
    try:
        with stage(where, seed, port, _progress) as made:
            if headless:
                return _alone(made)
            with mlflow_ui(made) as url:
                return _for_a_person(made, url)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _progress(f"error: port {port} is in use: name another with --port, or leave it out for a free one")
        if not folder:
            where.rmdir()
        return 2
    except KeyboardInterrupt:
        _progress("the demo has ended")
        return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _for_a_person(made: Stage, mlflow: str) -> int:
    print(
        f"\nOpen {made.workspace.page_url}\n\n"
        f"You are {APPROVER.real_name}, who may approve; switch to {VIEWER.real_name}, who may not, in the rail.\n"
        "In about a minute: a stable batch, then a drifted one, then labelled rows. Read the alert, open its\n"
        "thread, type /drift status, approve the retrain, compare, promote, roll back.\n"
        f"Everything lies in {made.folder}; drop files of your own into inbox/ there.\n"
        f"MLflow, for the links in the thread: {mlflow}\n"
        "Ctrl-C ends the demo.\n",
        flush=True,
    )
    time.sleep(5)
    made.drop_batch(made.files.stable, "flows_0700.csv")
    _progress(
        "flows_0700.csv has arrived: ordinary traffic, so the channel stays quiet (/drift status shows it)"
    )
    time.sleep(12)
    made.drop_batch(made.files.drifted, "flows_0800.csv")
    _progress("flows_0800.csv has arrived: a port scan and a slow-loris are in it; the alert comes now")
    anna = made.workspace.person(APPROVER.id)
    anna.wait_for(lambda p: _with_action(p.messages(CHANNEL), ids.INCIDENT_APPROVE), PATIENCE)
    time.sleep(20)
    made.bring_labels()
    _progress("an analyst has labelled 800 rows: the alert says now that a retrain can be approved")
    while True:
        time.sleep(1)


def _alone(made: Stage) -> int:
    """Play both people through the real protocol; 0 only if every step happened."""
    anna, vic = made.workspace.person(APPROVER.id), made.workspace.person(VIEWER.id)
    try:
        for title, step in _steps(made, anna, vic):
            step()
            _progress(f"  ok  {title}")
    except Exception as error:  # noqa: BLE001  whatever stops the story is shown, and ends it with status 1
        print(anna.transcript(CHANNEL))
        _progress(
            f"  FAILED: {(str(error) or repr(error)).splitlines()[0]}"
        )  # a time-out's error holds the transcript again
        return 1
    print(anna.transcript(CHANNEL))
    print(f"\nEvery step happened. The files, the state and the MLflow store lie in {made.folder}")
    return 0


def _steps(made: Stage, anna: Person, vic: Person) -> list[tuple[str, Callable[[], object]]]:
    return [
        ("a stable batch is checked and the channel stays quiet", lambda: _stable(made, anna)),
        (
            "a drifted batch is one alert, with table, buttons, and plots in its thread",
            lambda: _drift(made, anna),
        ),
        ("somebody who is no approver is refused politely", lambda: _refused(vic)),
        ("labelled rows arrive and the alert says so", lambda: _labels(made, anna)),
        ("an approver picks the labelled file and approves", lambda: _approve(anna)),
        ("the retrain runs in its own process and reports both models", lambda: _result(anna)),
        ("the new version is promoted", lambda: _press(anna, ids.RETRAIN_PROMOTE, "is in use.*")),
        ("it is rolled back, and the alert says so", lambda: _roll_back(anna)),
        ("version 1 is the champion again", lambda: _champion_is(made, 1)),
    ]


def _alert(person: Person) -> Json:
    """The incident's message: the first in the channel with buttons."""
    found = person.wait_for(lambda p: _with_block(p.messages(CHANNEL), "actions"), PATIENCE)
    return found or {}


def _thread(person: Person) -> list[Json]:
    return person.replies(CHANNEL, _alert(person)["ts"])


def _with_block(messages: list[Json], kind: str) -> Json | None:
    return next((m for m in messages if any(b["type"] == kind for b in m.get("blocks", []))), None)


def _with_action(messages: list[Json], action_id: str) -> Json | None:
    for message in messages:
        for block in message.get("blocks", []):
            if any(e.get("action_id") == action_id for e in block.get("elements", [])):
                return message
    return None


def _status(person: Person) -> str:
    before = len(person.ephemerals(CHANNEL))
    person.command(CHANNEL, "/drift", "status")
    answers = person.wait_for(lambda p: p.ephemerals(CHANNEL)[before:], PATIENCE)
    return str(answers[-1])


def _stable(made: Stage, anna: Person) -> None:
    made.drop_batch(made.files.stable, "flows_0700.csv")
    anna.wait_for(lambda _: made.app.store.last_batch("netflow"), PATIENCE)
    shown = _status(anna)
    _require("stable" in shown, f"/drift status does not call the batch stable: {shown}")
    _require(not anna.messages(CHANNEL), "the channel is not quiet")


def _drift(made: Stage, anna: Person) -> None:
    made.drop_batch(made.files.drifted, "flows_0800.csv")
    alert = _alert(anna)
    _require(_with_action([alert], ids.INCIDENT_APPROVE) is not None, "the alert has no button to approve")
    _require(_with_block([alert], "table") is not None, "the alert has no table")
    anna.wait_for(lambda p: any(m.get("files") for m in _thread(p)), PATIENCE)
    _require(len(anna.messages(CHANNEL)) == 1, "there is more than one alert")


def _refused(vic: Person) -> None:
    vic.click(CHANNEL, _alert(vic)["ts"], ids.INCIDENT_APPROVE)
    vic.wait_for(lambda p: "not an approver" in str(p.ephemerals(CHANNEL)), PATIENCE)


def _labels(made: Stage, anna: Person) -> None:
    made.bring_labels()
    anna.wait_for(lambda p: "labelled file" in _alert(p)["text"], PATIENCE)


def _approve(anna: Person) -> None:
    anna.click(CHANNEL, _alert(anna)["ts"], ids.INCIDENT_APPROVE)
    view = anna.wait_for(lambda p: _form(p.open_view()), PATIENCE)
    block = next(b for b in view["blocks"] if b.get("block_id") == modals.FILES_BLOCK)
    chosen = [o["value"] for o in block["element"]["initial_options"]]
    errors = anna.submit(
        {
            modals.FILES_BLOCK: {modals.FILES_ACTION: chosen},
            modals.REASON_BLOCK: {modals.REASON_ACTION: "new attacks in the traffic"},
        }
    )
    _require(not errors, f"the form has errors: {errors}")
    anna.wait_for(lambda p: "Approved by" in str(_alert(p)["blocks"]), PATIENCE)
    _require(_with_action([_alert(anna)], ids.INCIDENT_APPROVE) is None, "the approve button is still there")


def _form(view: Json | None) -> Json | None:
    """The form once it has been filled; a view that only says it is looking is not it yet."""
    filled = view is not None and any(b.get("block_id") == modals.FILES_BLOCK for b in view["blocks"])
    return view if filled else None


def _result(anna: Person) -> None:
    result = anna.wait_for(lambda p: _with_action(_thread(p), ids.RETRAIN_PROMOTE), PATIENCE)
    _require(_with_block([result], "table") is not None, "the result has no table of both models")


def _press(anna: Person, action_id: str, expected: str) -> None:
    message = anna.wait_for(lambda p: _with_action(_thread(p), action_id), PATIENCE)
    anna.click(CHANNEL, message["ts"], action_id)
    anna.wait_for(lambda p: any(expected in str(m.get("blocks")) for m in _thread(p)), PATIENCE)


def _roll_back(anna: Person) -> None:
    _press(anna, ids.RETRAIN_ROLLBACK, "is in use again")
    anna.wait_for(lambda p: "was rolled back" in str(_alert(p)["blocks"]), PATIENCE)


def _champion_is(made: Stage, version: int) -> None:
    champion = made.app.store.champion("netflow")
    _require(
        champion is not None and champion.record.version == version, f"the champion is not version {version}"
    )
    alias = made.app.registry.alias("netflow", "champion")
    _require(alias == version, f"the registry's champion is version {alias}")


def _require(happened: bool, otherwise: str) -> None:
    if not happened:
        raise RuntimeError(otherwise)
