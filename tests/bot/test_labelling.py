"""Labelled files that wait for a retrain: usable ones are counted, the others say why not."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from bot import labelling
from detectors.digest import sha256_file


def names(files: tuple[labelling.LabelledFile, ...]) -> list[str]:
    return [f.path.name for f in files]


def test_usable_files_wait_and_the_others_say_why_not(watched, traffic) -> None:
    folder = watched.model.labeled
    assert labelling.found(watched.model, watched.app.store) == ()
    shutil.copy(traffic.labelled, folder / "good.csv")
    shutil.copy(traffic.drifted, folder / "unlabelled.csv")
    (folder / "empty.csv").touch()
    (folder / "notes.txt").write_text("not data")
    found = {f.path.name: f for f in labelling.found(watched.model, watched.app.store)}
    assert found.keys() == {"good.csv", "unlabelled.csv", "empty.csv"}
    assert (found["good.csv"].rows, found["good.csv"].error) == (600, "")
    assert found["unlabelled.csv"].error == 'no column "Label"'
    assert "is empty" in found["empty.csv"].error
    assert names(labelling.waiting(watched.model, watched.app.store)) == ["good.csv"]
    (data,) = (f.data_file() for f in labelling.waiting(watched.model, watched.app.store))
    assert (data.sha256, data.rows) == (sha256_file(traffic.labelled), 600)


def test_only_rows_that_have_a_label_count(watched, traffic) -> None:
    frame = pd.read_csv(traffic.labelled)
    frame.loc[100:, "Label"] = None
    frame.to_csv(watched.model.labeled / "begun.csv", index=False)
    assert [f.rows for f in labelling.found(watched.model, watched.app.store)] == [100]


def test_the_same_bytes_wait_once_and_what_was_trained_on_waits_no_more(watched, traffic) -> None:
    store, folder = watched.app.store, watched.model.labeled
    shutil.copy(traffic.labelled, folder / "a.csv")
    shutil.copy(traffic.labelled, folder / "again.csv")
    shutil.copy(traffic.base, folder / "base.csv")
    assert len(labelling.found(watched.model, watched.app.store)) == 3
    (waits,) = labelling.waiting(watched.model, store)
    assert waits.path.name in ("a.csv", "again.csv")

    first = store.champion("netflow").record
    second = replace(first, version=2, data=(*first.data, waits.data_file()))
    now = datetime.now(UTC)
    store.add_version(second, now)
    assert len(labelling.waiting(watched.model, store)) == 1, "a challenger alone has used up nothing"
    store.finish_promotion(store.begin_promotion("netflow", 2, "train", "test", now).id, now)
    assert labelling.waiting(watched.model, store) == ()


def test_a_file_that_changes_is_read_again(watched, traffic) -> None:
    path = watched.model.labeled / "growing.csv"
    for rows in (50, 80):
        pd.read_csv(traffic.labelled).head(rows).to_csv(path, index=False)
        assert [f.rows for f in labelling.found(watched.model, watched.app.store)] == [rows]
    same = path.stat()
    before = labelling.found(watched.model, watched.app.store)
    os.utime(path, ns=(same.st_atime_ns, same.st_mtime_ns))
    assert labelling.found(watched.model, watched.app.store) == before


def test_the_mark_follows_the_content_and_not_the_names(watched, traffic) -> None:
    def mark() -> str:
        return labelling.label_mark(labelling.waiting(watched.model, watched.app.store))

    none = mark()
    path = Path(shutil.copy(traffic.labelled, watched.model.labeled / "a.csv"))
    one = mark()
    path.rename(path.with_name("b.csv"))
    assert (mark(), none == one) == (one, False)
    path.with_name("b.csv").unlink()
    assert mark() == none
