"""A broken feed is set aside and comes back: files are moved, never lost, and no retrain is approved meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from bot import labelling
from bot.config import ModelSection
from bot.quarantine import Quarantine, free_name
from bot.retraining import Retraining
from detectors.digest import sha256_file
from state.records import StateError
from trainers.base import DataFile


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def broken(watched, traffic):
    """A broken feed in the inbox, checked and reported."""
    frame = pd.read_csv(traffic.stable)
    frame["Flow Duration"] /= 1000
    frame.to_csv(watched.model.inbox / "flows.csv", index=False)
    (batch,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert batch.verdict == "broken_feed"
    return batch


def test_a_broken_feed_is_moved_aside_and_leaves_the_history(watched, broken) -> None:
    store, ward = watched.app.store, Quarantine(watched.app.store, now)
    (fault,) = store.batch(broken.id).report.faults
    assert (fault.kind, fault.features) == ("unit", ("Flow Duration",))
    assert [p.verdict for p in store.history("netflow")] == ["broken_feed"]
    aside = ward.put(watched.model, broken, "U0ANNA", "wrong unit")
    assert aside == watched.folder / "quarantine" / "netflow" / "flows.csv"
    assert sha256_file(aside) == broken.sha256
    assert not (watched.model.inbox / "flows.csv").exists()
    assert store.history("netflow") == ()
    assert store.broken_feed("netflow") is None
    (line,) = store.decisions("netflow", 1)
    assert (line.who, line.what, line.subject, line.why) == (
        "U0ANNA", "quarantine", f"batch {broken.id}", "wrong unit",
    )  # fmt: skip
    with pytest.raises(StateError, match="in quarantine already"):
        ward.put(watched.model, broken, "U0ANNA")
    assert watched.app.monitoring.scan(watched.model, watched.inbox()) == []


def test_a_released_file_is_checked_again(watched, broken) -> None:
    store, ward = watched.app.store, Quarantine(watched.app.store, now)
    ward.put(watched.model, broken, "U0ANNA")
    (watched.model.inbox / "flows.csv").write_text("another file of this name came meanwhile\n")
    back = ward.release(watched.model, store.batch(broken.id), "U0BEN")
    assert back == watched.model.inbox / "flows-2.csv"
    assert (watched.model.inbox / "flows.csv").read_text().startswith("another file")
    (watched.model.inbox / "flows.csv").unlink()
    (again,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert (again.id, again.state, again.verdict) == (broken.id, "checked", "broken_feed")
    assert [p.verdict for p in store.history("netflow")] == ["broken_feed"]
    assert [d.what for d in store.decisions("netflow", 2)] == ["release", "quarantine"]
    with pytest.raises(StateError, match="is not in quarantine"):
        ward.release(watched.model, again, "U0BEN")


def test_nothing_in_quarantine_is_overwritten(watched, broken) -> None:
    folder = watched.folder / "quarantine" / "netflow"
    folder.mkdir(parents=True)
    (folder / "flows.csv").write_text("an older one\n")
    aside = Quarantine(watched.app.store, now).put(watched.model, broken, "U0ANNA")
    assert aside.name == "flows-2.csv"
    assert (folder / "flows.csv").read_text() == "an older one\n"
    assert free_name(folder / "new.csv.gz").name == "new.csv.gz"


@pytest.mark.parametrize("trouble", ["gone", "changed"])
def test_a_file_that_is_not_the_batch_any_more_stays_where_it_is(watched, broken, trouble) -> None:
    path = watched.model.inbox / "flows.csv"
    path.unlink() if trouble == "gone" else path.write_text("a\n1\n")
    with pytest.raises(StateError, match="cannot be moved" if trouble == "gone" else "has changed"):
        Quarantine(watched.app.store, now).put(watched.model, broken, "U0ANNA")
    assert watched.app.store.batch(broken.id).quarantine is None
    assert path.exists() is (trouble == "changed")


def test_no_retrain_is_approved_while_the_newest_batch_is_a_broken_feed(watched, traffic) -> None:
    store = watched.app.store
    retraining = Retraining(watched.app.config, store, lambda: None)
    watched.drop(traffic.drifted, "a.csv")
    watched.app.monitoring.scan(watched.model, watched.inbox())
    incident = store.open_incident_of("netflow")
    watched.said()
    frame = pd.read_csv(traffic.stable).drop(columns="Flow Duration")
    frame.to_csv(watched.model.inbox / "b.csv", index=False)
    (batch,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [kind for kind, _ in watched.said()] == ["broken_feed", "incident"], "its button goes"
    (watched.model.labeled / "new.csv").write_bytes(traffic.labelled.read_bytes())
    files = [f.data_file() for f in labelling.waiting(watched.model, store)]
    with pytest.raises(StateError, match=r"b\.csv, is a broken feed .*Flow Duration.* Quarantine it"):
        retraining.approve(watched.model, files, "U0ANNA", incident_id=incident.id)
    Quarantine(store, now).put(watched.model, batch, "U0ANNA")
    assert "incident" in [kind for kind, _ in watched.said()], "its button is back"
    assert retraining.approve(watched.model, files, "U0ANNA", incident_id=incident.id).state == "queued"


def test_a_broken_feed_itself_is_never_trained_on(watched, broken) -> None:
    retraining = Retraining(watched.app.config, watched.app.store, lambda: None)
    path = watched.model.inbox / "flows.csv"
    with pytest.raises(StateError, match=r"flows\.csv is a broken feed .*would learn the fault"):
        retraining.approve(watched.model, [DataFile(str(path), sha256_file(path), 1200)], "U0ANNA")


def test_the_command_line_sets_aside_and_releases(watched, broken, run) -> None:
    done = run(watched.folder, "quarantine", watched.model.inbox / "flows.csv", "--why", "unit")
    aside = watched.folder / "quarantine" / "netflow" / "flows.csv"
    assert (done.code, aside.exists()) == (0, True)
    assert f"batch {broken.id} is set aside at {aside}" in done.out
    assert run(watched.folder, "quarantine", broken.id).code == 3
    assert run(watched.folder, "quarantine", "--release", aside).code == 0
    assert (watched.model.inbox / "flows.csv").exists()
    nothing = run(watched.folder, "quarantine", "nothing.csv")
    assert (nothing.code, "nothing.csv" in nothing.err) == (3, True)
    assert "quarantine batch" in run(watched.folder, "status").out


def test_the_bytes_are_set_aside_however_often_they_were_judged(watched, broken) -> None:
    store, ward = watched.app.store, Quarantine(watched.app.store, now)
    stricter = ModelSection.model_validate({**watched.model.model_dump(), "alpha": 0.005})
    again = watched.app.monitoring.check(stricter, Path(broken.path)).batch
    assert again.id != broken.id
    ward.put(watched.model, broken, "U0ANNA")
    assert store.broken_feed("netflow") is None and store.history("netflow") == ()
    (listed,) = store.in_quarantine("netflow")
    assert listed.id == again.id
    ward.release(watched.model, listed, "U0ANNA")
    assert store.in_quarantine("netflow") == ()
    assert Path(broken.path).exists()


def test_a_file_that_cannot_be_moved_stays_under_one_name(watched, broken, monkeypatch) -> None:
    store, ward = watched.app.store, Quarantine(watched.app.store, now)
    here, unlink = Path(broken.path), Path.unlink

    def refused(path: Path, *more: bool) -> None:
        if path == here:
            raise PermissionError(13, "Permission denied")
        unlink(path, *more)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StateError, match=r"cannot be moved .*Permission denied"):
        ward.put(watched.model, broken, "U0ANNA")
    assert here.exists() and store.batch(broken.id).quarantine is None
    assert not list((watched.folder / "quarantine").rglob("*.csv"))
