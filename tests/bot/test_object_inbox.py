"""An inbox in a bucket: new objects are found by the listing alone, and nothing that a store does loses a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from bot import labelling
from bot.config import ConfigError, load
from bot.inbox import Inbox, InboxFile, Unreadable
from bot.listing import candidates, inbox_trouble, listing
from bot.quarantine import Quarantine, folder_of
from detectors import objects
from detectors.digest import sha256_file
from detectors.objects import ObjectPath
from state.records import StateError
from state.store import Store
from tests.bot.conftest import CONFIGURATION, deal
from tests.s3 import S3, forget_connections, upload

MANY = 3_000


@pytest.fixture
def far(watched, bucket):
    """The watched model, with its inbox and its labelled files in the bucket."""
    places = {"inbox": bucket / "in" / "netflow", "labeled": bucket / "labeled" / "netflow"}
    return watched.model.model_copy(update=places)


def test_new_objects_are_found_without_reading_the_old(s3: S3, bucket) -> None:
    inbox = Inbox(bucket / "in")
    s3.fill(bucket, (f"in/{number:05}.csv" for number in range(MANY)))
    s3.asked.clear()
    for file in listing(inbox.where) or ():
        inbox.done(InboxFile(ObjectPath(file.path), "", file.stamp, datetime.now(UTC)))
    assert len(s3.asked) == MANY // 1000, "a request for each thousand"
    assert deal(inbox) == []
    assert s3.read() == []
    (bucket / "in" / "new.csv").write_bytes(b"a\n1\n")
    (bucket / "in" / "00007.csv").write_bytes(b"a\n8\n")
    assert sorted(deal(inbox)) == ["00007.csv", "new.csv"]
    assert sorted(s3.read()) == [f"GET /{bucket.name}/in/00007.csv", f"GET /{bucket.name}/in/new.csv"]


def test_what_is_a_batch_is_what_it_is_in_a_folder(bucket) -> None:
    keys = (
        "in/a.csv",
        "in/.b.csv",
        "in/c.txt",
        "in/",
        "in/day1/d.parquet",
        "in/day1/quarantine/e.csv",
        "f.csv",
    )
    for key in keys:
        ObjectPath(f"{bucket}/{key}").write_bytes(b"a\n1\n")
    for where, found in {
        "in": ["a.csv"],
        "in/*/*.parquet": ["d.parquet"],
        "in/**": ["a.csv", "d.parquet"],
        "in/**/*.csv": ["a.csv"],
        "nothing": [],
    }.items():
        assert sorted(path.name for path in candidates(bucket / where)) == found, where


def test_an_object_that_changes_while_it_is_hashed_waits_for_the_next_scan(bucket, monkeypatch) -> None:
    path = bucket / "in" / "a.csv"
    path.write_bytes(b"a\n1\n")
    inbox, read = Inbox(bucket / "in"), ObjectPath.open

    def replaced_after(path: ObjectPath, mode: str = "rb") -> object:
        opened = read(path, mode)
        path.write_bytes(b"a\n2\n")
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(ObjectPath, "open", replaced_after)
        assert deal(inbox) == []
    (found,) = inbox.finished()
    assert isinstance(found, InboxFile)
    assert found.sha256 == sha256_file(path)
    assert abs((found.came - datetime.now(UTC)).total_seconds()) < 60


def test_a_store_that_is_away_loses_nothing(s3: S3, bucket, monkeypatch, caplog) -> None:
    (bucket / "in" / "a.csv").write_bytes(b"a\n1\n")
    inbox = Inbox(bucket / "in")
    stat = ObjectPath.stat

    def away_before(path: ObjectPath) -> object:
        _away_from_now_on(patched)
        return stat(path)

    with monkeypatch.context() as patched:  # between the listing and the reading
        patched.setattr(ObjectPath, "stat", away_before)
        assert deal(inbox) == []
    forget_connections()
    assert "left for the next scan" in caplog.text
    with monkeypatch.context() as patched:
        _away_from_now_on(patched)
        assert deal(inbox) == []
        assert "cannot be reached now" in inbox_trouble(bucket / "in")
    assert "nothing is found there" in caplog.text
    forget_connections()
    assert deal(inbox) == ["a.csv"]


@pytest.fixture
def refuse(monkeypatch) -> Callable[..., None]:
    """`refuse(error, "a.csv", ...)`: what the store says when one of these is read."""
    content = objects._content

    def refuse(error: Exception, *names: str) -> None:
        def answer(path: ObjectPath, state: objects.ObjectStat) -> bytes:
            if path.name in names:
                raise objects._said(path, error)
            return content(path, state)

        monkeypatch.setattr(objects, "_content", answer)

    return refuse


def test_an_object_that_is_not_answered_for_holds_up_no_other(s3: S3, bucket, refuse) -> None:
    s3.fill(bucket, (f"in/{name}.csv" for name in "abcdefg"))
    inbox = Inbox(bucket / "in")
    refuse(ConnectionResetError("cut"), "a.csv", "b.csv", "d.csv")
    assert deal(inbox) == ["c.csv", "e.csv", "f.csv", "g.csv"]
    assert deal(inbox) == [], "three in a row: the store is away"
    refuse(ConnectionResetError("cut"), "a.csv", "d.csv")
    assert deal(inbox) == ["b.csv"]


def test_an_object_that_can_never_be_read_is_said(s3: S3, bucket, refuse) -> None:
    s3.fill(bucket, ["in/a.csv", "in/b.csv"])
    refuse(OSError(22, "The KMS key of this object was deleted"), "a.csv")
    bad, good = Inbox(bucket / "in").finished()
    assert isinstance(bad, Unreadable)
    assert (bad.kind, "The KMS key of this object was deleted" in bad.reason) == ("unreadable", True)
    assert isinstance(good, InboxFile)


def test_any_name_that_a_store_allows_is_read(bucket) -> None:
    keys = ("a::b.csv", "c [1].csv", "d#e%20f.csv", "ä ö.csv")
    for key in keys:
        (bucket / "in" / "[prod] net::flow" / key).write_bytes(b"a\n1\n")
    for where in ("in/[prod] net::flow", "in/*/*.csv"):
        assert sorted(deal(Inbox(bucket / where))) == sorted(keys)


def test_a_pattern_at_the_root_of_a_bucket_does_not_find_what_was_set_aside(watched, bucket) -> None:
    model = watched.model.model_copy(update={"inbox": bucket / "*" / "*" / "*.csv"})
    (folder_of(model) / "a.csv").write_bytes(b"a\n1\n")
    (bucket / "in" / "day1" / "b.csv").write_bytes(b"a\n1\n")
    assert str(folder_of(model)) == f"{bucket}/quarantine/netflow"
    assert [path.name for path in candidates(model.inbox)] == ["b.csv"]


Restart = Callable[[str], Inbox]


@pytest.fixture
def restart(bucket, tmp_path: Path) -> Iterator[Restart]:
    """`restart("in")`: the inbox as a new process finds it, on a state file that stays."""
    with Store(tmp_path / "state.db") as store:
        yield lambda where: Inbox(bucket / where, memory=store.dealt_with("m"))


@pytest.mark.parametrize("where", ["in", "in/*.csv", "in/**"])
def test_what_was_dealt_with_is_known_after_a_restart(s3: S3, bucket, restart: Restart, where: str) -> None:
    s3.fill(bucket, (f"in/{name}.csv" for name in "abc"))
    assert deal(restart(where)) == ["a.csv", "b.csv", "c.csv"]
    (bucket / "in" / "b.csv").write_bytes(b"a\n2\n")
    s3.asked.clear()
    assert deal(restart(where)) == ["b.csv"]
    assert s3.read() == [f"GET /{bucket.name}/in/b.csv"]
    restart(where).forget(f"{bucket}/in/c.csv")
    assert deal(restart(where)) == ["c.csv"]


@pytest.mark.parametrize("where", ["in", "in/*.csv", "in/**", "*/*.csv"])
def test_what_has_gone_is_forgotten_but_not_what_a_store_does_not_show(
    s3: S3, bucket, restart: Restart, monkeypatch, where: str
) -> None:
    s3.fill(bucket, (f"in/{name}.csv" for name in "abc"))
    deal(restart(where))
    memory = restart(where).memory
    assert memory is not None

    with monkeypatch.context() as patched:
        _away_from_now_on(patched)
        assert deal(restart(where)) == []
    forget_connections()
    with s3.strict():
        assert deal(restart(where)) == []
    elsewhere = Inbox(ObjectPath(f"s3://nobody-has-this/{where}"), memory=memory)
    assert deal(elsewhere) == []
    assert "there is no bucket" in inbox_trouble(elsewhere.where)
    assert len(memory.load()) == 3

    (bucket / "in" / "a.csv").unlink()
    s3.asked.clear()
    assert deal(restart(where)) == []
    assert all("list-type=2" in line for line in s3.asked), "a listing that has answered is not doubted"
    assert sorted(memory.load()) == [f"{bucket}/in/b.csv", f"{bucket}/in/c.csv"]
    for name in "bc":
        (bucket / "in" / f"{name}.csv").unlink()
    assert deal(restart(where)) == []
    assert memory.load() == {}


def _away_from_now_on(patched: pytest.MonkeyPatch) -> None:
    patched.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_connections()


def test_a_refusal_is_said_once_and_tried_again(s3: S3, watched, far, traffic, caplog) -> None:
    store, monitoring = watched.app.store, watched.app.monitoring
    upload(traffic.stable, far.inbox)
    inbox = Inbox(far.inbox)
    with pytest.MonkeyPatch.context() as patched:
        said = objects._said(far.inbox / "stable.csv", PermissionError("Access Denied"))

        def refused(*_: object) -> bytes:
            raise said

        patched.setattr(objects, "_content", refused)
        for _ in range(2):
            monitoring.scan(far, inbox)
        (message,) = watched.said()
        assert message[0] == "failed_batches"
        (failed,) = (store.batch(number) for number in message[1]["batch_ids"])
        assert (failed.error_kind, "Access Denied" in failed.error) == ("denied", True)
    (checked,) = monitoring.scan(far, inbox)
    assert checked.verdict == "stable"
    assert not [found for found in inbox.finished() if isinstance(found, Unreadable)]
    with s3.strict():
        assert candidates(far.inbox) == []
        assert "the store refuses" in inbox_trouble(far.inbox)
    assert inbox_trouble(ObjectPath("s3://nobody-has-this/in")) == "there is no bucket s3://nobody-has-this"


def test_the_store_goes_away_during_a_check(watched, far, traffic, monkeypatch) -> None:
    upload(traffic.stable, far.inbox)
    inbox, monitoring = Inbox(far.inbox), watched.app.monitoring
    measure = type(monitoring)._judged

    def away(*_: object) -> None:
        raise objects._said(far.inbox / "stable.csv", ConnectionResetError("cut"))

    monkeypatch.setattr(type(monitoring), "_judged", away)
    (batch,) = monitoring.scan(far, inbox)
    assert (batch.state, batch.error_kind) == ("failed", "away")
    monkeypatch.setattr(type(monitoring), "_judged", measure)
    (batch,) = monitoring.scan(far, inbox)
    assert (batch.state, batch.verdict) == ("checked", "stable")
    assert batch.path == f"{far.inbox}/stable.csv"


def test_a_batch_in_a_bucket_is_set_aside_and_comes_back(watched, far, traffic) -> None:
    frame = pd.read_csv(traffic.stable)
    frame["Flow Duration"] /= 1000
    path = far.inbox / "flows.csv"
    path.write_bytes(frame.to_csv(index=False).encode())
    inbox, store = Inbox(far.inbox), watched.app.store
    (batch,) = watched.app.monitoring.scan(far, inbox)
    assert batch.verdict == "broken_feed"
    ward = Quarantine(store, lambda: datetime.now(UTC))
    assert ward.find(far, str(path)).id == batch.id
    aside = ward.put(far, batch, "U0ANNA")
    assert str(aside) == str(far.inbox.parent / "quarantine" / "netflow" / "flows.csv")
    assert (path.exists(), sha256_file(aside)) == (False, batch.sha256)
    path.write_bytes(b"another object of this name came meanwhile\n")
    back = ward.release(far, store.batch(batch.id), "U0BEN")
    assert (back.name, aside.exists(), sha256_file(back)) == ("flows-2.csv", False, batch.sha256)
    with pytest.raises(StateError, match="has changed since"):
        ward.put(far, replace(store.batch(batch.id), path=str(path)), "U0ANNA")


def test_labelled_objects_wait_and_are_looked_at_again_after_a_refusal(
    far, watched, traffic, monkeypatch
) -> None:
    monkeypatch.setattr(labelling, "RELIST", 0.0)
    path = upload(traffic.labelled, far.labeled)
    with pytest.MonkeyPatch.context() as patched:
        said = objects._said(path, PermissionError("Access Denied"))

        def refused(*_: object) -> bytes:
            raise said

        patched.setattr(objects, "_content", refused)
        assert labelling.waiting(far, watched.app.store) == ()
        (bad,) = labelling.unusable(far)
        assert "Access Denied" in bad.error
    (file,) = labelling.waiting(far, watched.app.store)
    assert file.data_file().path == str(path)
    assert file.sha256 == sha256_file(traffic.labelled)
    assert [f.sha256 for f in labelling.waiting(far, watched.app.store, read=False)] == [file.sha256]


def test_labelled_objects_are_listed_once_a_minute_whoever_asks(
    s3: S3, far, watched, traffic, monkeypatch
) -> None:
    upload(traffic.labelled, far.labeled)
    store, now = watched.app.store, [1000.0]
    monkeypatch.setattr(labelling, "monotonic", lambda: now[0])
    assert len(labelling.waiting(far, store)) == 1
    (far.labeled / "more.csv").write_bytes(traffic.labelled.read_bytes().replace(b"\n", b"\r\n"))
    s3.asked.clear()
    now[0] += labelling.RELIST - 1
    assert len(labelling.waiting(far, store)) == 1
    assert s3.asked == []
    other = far.model_copy(update={"label": far.label.model_copy(update={"column": "Flow Duration"})})
    assert len(labelling.waiting(other, store)) == 2, "another column of the same files"
    now[0] += 1
    assert len(labelling.waiting(far, store)) == 2


def test_labelled_objects_still_wait_while_a_store_is_away(
    s3: S3, far, watched, traffic, monkeypatch
) -> None:
    monkeypatch.setattr(labelling, "RELIST", 0.0)
    upload(traffic.labelled, far.labeled)
    store = watched.app.store
    assert len(labelling.waiting(far, store)) == 1
    with monkeypatch.context() as patched:
        _away_from_now_on(patched)
        assert len(labelling.waiting(far, store)) == len(labelling.waiting(far, store, read=False)) == 1
    forget_connections()
    (far.labeled / "labelled.csv").unlink()
    assert labelling.waiting(far, store) == ()
    assert labelling.folder_name(far) == f"{far.labeled}/"
    assert labelling.folder_name(watched.model) == f"{watched.folder.name}/labeled/"


def test_a_new_object_costs_few_requests(s3: S3, watched, far, traffic) -> None:
    upload(traffic.stable, far.inbox)
    labelling.waiting(far, watched.app.store)
    s3.asked.clear()
    watched.app.monitoring.scan(far, Inbox(far.inbox))
    looks = [line for line in s3.asked if line.startswith("HEAD ")]
    assert (len(looks), len(s3.asked)) == (6, 6 + 1 + 1), "six looks, one reading, one listing"


def test_a_held_batch_whose_extra_has_gone_ends_no_scan(watched, traffic, monkeypatch) -> None:
    monitoring, store, model = watched.app.monitoring, watched.app.store, watched.model
    watched.drop(traffic.stable)
    (batch,) = monitoring.scan(model, watched.inbox())
    held = replace(batch, path="s3://b/in/a.csv", policy_sha="an older one")
    monkeypatch.setattr(store, "held", lambda _: (held,))
    monkeypatch.setattr(objects, "find_spec", lambda _: None)
    assert monitoring.scan(model, watched.inbox()) == []


def test_a_configuration_names_buckets(tmp_path: Path, s3: S3) -> None:
    text = CONFIGURATION.replace('"inbox"', '"s3://data/in/"').replace('"labeled"', '"s3://data/labeled"')
    path = tmp_path / "driftcatcher.toml"
    path.write_text(f'baselines = "s3://data/baselines"\n{text}')
    config = load(path)
    assert [str(p) for p in (config.models[0].inbox, config.models[0].labeled, config.baselines)] == [
        "s3://data/in", "s3://data/labeled", "s3://data/baselines",
    ]  # fmt: skip
    assert config.home == tmp_path / "home"


def test_a_store_that_cannot_be_read_is_a_mistake_of_the_configuration(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "driftcatcher.toml"
    monkeypatch.setattr(objects, "find_spec", lambda _: None)
    for url, said in {
        "s3://data/in": 'models[0].inbox: s3://data/in: reading s3:// needs an extra: pip install "driftcatcher[s3]"',
        "ftp://data/in": "models[0].inbox: ftp://data/in: stores are named by",
        "s3://key:secret@data/in": "models[0].inbox: a s3:// URL holds credentials",
    }.items():
        path.write_text(CONFIGURATION.replace('"inbox"', f'"{url}"'))
        with pytest.raises(ConfigError) as error:
            load(path)
        assert said in str(error.value)
        assert "secret" not in str(error.value)


def test_the_command_line_takes_urls(s3: S3, watched, bucket, traffic, run, caplog) -> None:
    caplog.set_level(logging.ERROR)
    path = upload(traffic.drifted, bucket)
    done = run(watched.folder, "check", path, "--json")
    assert (done.code, f'"path": "{path}"' in done.out) == (1, True)
    gone = run(watched.folder, "check", bucket / "gone.csv")
    assert (gone.code, "no such object" in gone.err) == (2, True)
