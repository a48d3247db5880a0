"""One case: get to a point, kill somebody, start what was killed again, wait, and look whether everything agrees."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from bot.monitoring import load_baseline
from bot.workspace import Workspace
from tests.benchmarks.kills.house import House, Made, until
from tests.benchmarks.kills.points import Point, Victim
from tests.journeys.stage import ANNA, CHANNEL, CHANNELS, MODEL, PEOPLE

INCIDENT = {
    "succeeded": "decision", "promoted": "resolved", "failed": "open", "interrupted": "open",
}  # fmt: skip
SAID = {
    "succeeded": "is trained", "promoted": "is in use.*", "failed": "The retrain failed",
    "interrupted": "was interrupted",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a case ended: the retrain's state, the champion, and what does not agree (nothing, if all is well)."""

    state: str
    champion: int
    wrong: tuple[str, ...]


def play(made: Made, folder: Path, point: Point, victim: Victim, retries: int) -> Ended:
    """Play one case in a folder of its own. TimeoutError where it never comes to rest."""
    with Workspace(PEOPLE, CHANNELS) as slack:
        house = House(made, folder, slack, retries)
        try:
            with point.reached(house):
                _kill(house, victim)
            if victim == "bot":
                house.start_bot()
            elif victim == "server":
                house.server.start()
            until(house.settled, "it does not come to rest")
            (retrain,) = house.app.store.retrains(MODEL)
            champion = house.app.store.champion(MODEL)
            return Ended(retrain.state, champion.record.version if champion else 0, tuple(_wrong(house)))
        finally:
            house.close()


def _kill(house: House, victim: Victim) -> None:
    if victim == "bot":
        house.kill_bot()
    elif victim == "server":
        house.server.kill()
    else:
        trainer = house.trainer()
        assert trainer is not None, "nobody trains here"
        os.kill(trainer, signal.SIGKILL)
        until(lambda: house.trainer() != trainer, "the trainer lives on")


def _wrong(house: House) -> Iterator[str]:
    """What state, registry, files and Slack do not agree about."""
    store = house.app.store
    (retrain,) = store.retrains(MODEL)
    champion = store.champion(MODEL)
    assert champion is not None
    known = {version.record.version for version in store.versions(MODEL)}
    yield from _registry(MlflowClient(house.relay.url, house.relay.url), known, champion.record.version)
    new = known - {1}  # 3 where MLflow's client asked twice for a version
    if len(new) != (retrain.state in ("succeeded", "promoted")):
        yield f"the retrain is {retrain.state}, and the state knows the versions {sorted(known)}"
    if {champion.record.version} != (new if retrain.state == "promoted" else {1}):
        yield f"the retrain is {retrain.state}, and version {champion.record.version} is the champion"
    if load_baseline(champion).version != str(champion.record.version):
        yield "the champion's baseline is another version's"
    folders = {path.name for path in (house.home / "models" / MODEL).glob("*")}
    if folders != {f"v{version}" for version in new}:
        yield f"the folders are {sorted(folders)}"
    incident = store.incidents(MODEL)[0]
    if incident.state != INCIDENT[retrain.state]:
        yield f"the retrain is {retrain.state}, and the incident {incident.state}"
    with closing(sqlite3.connect(house.home / "state.db")) as db:
        moves = db.execute(
            "SELECT count(*) FROM promotions WHERE kind = 'promote' AND state = 'done'"
        ).fetchone()[0]
    if moves != (retrain.state == "promoted"):
        yield f"promoted {moves} times"
    anna = house.slack.person(ANNA.id)
    (top,) = (message for message in anna.messages(CHANNEL) if message.get("blocks"))
    texts = [str(reply) for reply in anna.replies(CHANNEL, top["ts"])]
    if (times := sum(SAID[retrain.state] in text for text in texts)) != 1:
        yield f"the end was said {times} times"


def _registry(client: MlflowClient, known: set[int], champion: int) -> Iterator[str]:
    there = {int(v.version): v for v in client.search_model_versions(f"name='{MODEL}'")}
    if set(there) != known:
        yield f"the registry has the versions {sorted(there)}, the state {sorted(known)}"
    aliases = {name: int(at) for name, at in client.get_registered_model(MODEL).aliases.items()}
    if aliases.get("champion") != champion:
        yield f"the registry's champion is {aliases.get('champion')}, the state's {champion}"
    if aliases.get("challenger", champion) not in known:
        yield f"the challenger is version {aliases['challenger']}, which nobody knows"
    experiment = client.get_experiment_by_name(f"driftcatcher/{MODEL}")
    runs = client.search_runs([experiment.experiment_id])
    finished = {run.info.run_id for run in runs if run.info.status == "FINISHED"}
    if finished != {version.run_id for version in there.values()}:
        yield "a run is finished without a version, or the other way round"
    if any(run.info.status == "RUNNING" for run in runs):
        yield "a run goes on for ever"
