"""Folders of parts through the whole bot: scanned, checked once, set aside whole, trained on."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bot import labelling, quarantine
from bot.quarantine import Quarantine
from detectors.digest import sha256_file
from state.records import StateError
from trainers.base import LabelSpec, TrainingError
from trainers.dataset import build


def spread(source: Path, folder: Path, parts: int = 4) -> Path:
    """A CSV file as a folder of Parquet parts."""
    folder.mkdir(parents=True)
    frame = pd.read_csv(source)
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), parts)):
        frame.iloc[rows].to_parquet(folder / f"part-{i}.parquet", index=False)
    (folder / "_SUCCESS").touch()
    return folder


def test_a_scan_checks_a_folder_as_one_batch_and_once(watched, traffic) -> None:
    spread(traffic.drifted, watched.model.inbox / "day.parquet")
    inbox = watched.inbox()
    (batch,) = watched.app.monitoring.scan(watched.model, inbox)
    assert (batch.state, batch.report.rows) == ("checked", 1200)
    single = watched.app.monitoring.check(watched.model, traffic.drifted).batch
    assert batch.verdict == single.verdict
    assert watched.app.monitoring.scan(watched.model, inbox) == []
    assert watched.app.monitoring.scan(watched.model, watched.inbox()) == []


def test_check_takes_a_folder_and_names_the_part_that_is_wrong(watched, traffic, run) -> None:
    folder = spread(traffic.stable, watched.folder / "day")
    ran = run(watched.folder, "check", "day", "--json")
    assert ran.json["batch"]["rows"] == 1200
    assert ran.json["batch"]["sha256"] == sha256_file(folder)
    pd.DataFrame({"a": [1]}).to_parquet(folder / "part-2.parquet")
    ran = run(watched.folder, "check", "day")
    assert ran.code == 2
    assert "part-2.parquet has none of the" in ran.err


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_folder_is_set_aside_whole_and_comes_back(watched, traffic, monkeypatch, other_disk) -> None:
    folder = spread(traffic.stable, watched.model.inbox / "day.parquet")
    before = sha256_file(folder)
    (batch,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    if other_disk:
        as_on_two_disks(monkeypatch)
    ward = Quarantine(watched.app.store, lambda: datetime.now(UTC))
    aside = ward.put(watched.model, batch, "U0ANNA")
    assert not folder.exists()
    assert sha256_file(aside) == before
    assert ward.release(watched.model, watched.app.store.batch(batch.id), "U0ANNA") == folder
    assert sha256_file(folder) == before
    assert (folder / "_SUCCESS").exists()


def as_on_two_disks(monkeypatch) -> None:
    """Between two folders nothing can be renamed."""
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)


def test_what_is_left_of_a_folder_that_was_moved_to_another_disk_is_no_batch(
    watched, traffic, monkeypatch
) -> None:
    folder = spread(traffic.stable, watched.model.inbox / "day.parquet")
    (batch,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    as_on_two_disks(monkeypatch)
    removed = shutil.rmtree

    def half(path: Path, *, ignore_errors: bool = False) -> None:
        next(path.glob("part-*")).unlink()
        if not ignore_errors:
            raise OSError(13, "Permission denied")

    monkeypatch.setattr(quarantine.shutil, "rmtree", half)
    aside = Quarantine(watched.app.store, lambda: datetime.now(UTC)).put(watched.model, batch, "U0ANNA")
    monkeypatch.setattr(quarantine.shutil, "rmtree", removed)
    assert sha256_file(aside) == batch.sha256
    assert not folder.exists()
    assert watched.app.monitoring.scan(watched.model, watched.inbox()) == []


def test_a_folder_that_cannot_be_copied_stays_where_it_is(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "day.parquet"
    folder.mkdir()
    (folder / "part-0.csv").write_text("a\n1\n")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(quarantine.shutil, "copytree", refuse)
    with pytest.raises(StateError, match="No space left on device"):
        quarantine.move(folder, tmp_path / "aside" / "day.parquet")
    assert [p.name for p in folder.iterdir()] == ["part-0.csv"]
    assert not (tmp_path / "aside" / "day.parquet").exists()


def test_labelled_files_may_be_folders(watched, traffic) -> None:
    folder = spread(traffic.labelled, watched.model.labeled / "labels.parquet")
    (found,) = labelling.waiting(watched.model, watched.app.store)
    assert (found.path, found.rows) == (folder, 600)
    last = pd.read_parquet(folder / "part-3.parquet")
    last[:50].to_parquet(folder / "part-3.parquet", index=False)
    (found,) = labelling.waiting(watched.model, watched.app.store)
    assert (found.rows, found.sha256) == (500, sha256_file(folder)), "a part that was rewritten is seen"


def test_training_data_may_be_folders_and_must_stay_what_they_were(watched, traffic, tmp_path) -> None:
    model = watched.model
    spec: LabelSpec = model.label_spec()
    folder = spread(traffic.labelled, tmp_path / "base.parquet")
    ours, single = build([folder], [], spec), build([traffic.labelled], [], spec)
    pd.testing.assert_frame_equal(ours.train_x, single.train_x)
    (file,) = ours.files
    assert (file.sha256, file.rows) == (sha256_file(folder), 600)
    (folder / "part-3.parquet").unlink()
    with pytest.raises(TrainingError, match=r"base\.parquet has changed since"):
        build([file], [], spec)
