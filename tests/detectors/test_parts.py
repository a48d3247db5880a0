"""A folder of parts is one batch: the same rows, counts and sample whoever reads it, and clear errors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, DataError, check
from detectors.batch_profile import profile_batch
from detectors.digest import sha256_file
from detectors.parts import here, parts_of
from detectors.source import header_of, read_frame, stream

PARTS = 5


def write(frame: pd.DataFrame, folder: Path, suffix: str = ".parquet", parts: int = PARTS) -> Path:
    """The frame as a folder, with what Spark leaves beside the parts."""
    folder.mkdir()
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), parts)):
        path = folder / f"part-{i}{suffix}"
        part = frame.iloc[rows]
        part.to_parquet(path, index=False) if suffix == ".parquet" else part.to_csv(path, index=False)
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    return folder


@pytest.fixture
def baseline(draw) -> Baseline:
    return Baseline.fit(draw(3000, seed=1))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_folder_counts_as_the_table_it_holds(tmp_path, draw, baseline, suffix) -> None:
    frame = draw(2000, seed=2)
    folder = profile_batch(baseline, write(frame, tmp_path / "b", suffix))
    single = profile_batch(baseline, frame)
    assert folder.rows == single.rows == 2000
    for name, part in folder.features.items():
        other = single.features[name]
        assert np.array_equal(part.cells, other.cells), name
        assert np.array_equal(part.at_most, other.at_most)
        assert part.mean == pytest.approx(other.mean, rel=1e-12)
    assert folder.sample is not None
    assert folder.sample.rows == 2000
    assert sorted(folder.sample.column("n0")) == sorted(frame["n0"])


def test_the_result_does_not_depend_on_who_reads_which_part_first(tmp_path, draw, baseline) -> None:
    folder = write(draw(4000, seed=2), tmp_path / "b.parquet")

    def backwards(work: Any, shared: Any, parts: Any, progress: Any) -> Iterator[Any]:
        done = {part.index: work(shared, part, None) for part in reversed(parts)}
        return iter([done[part.index] for part in parts])

    ours = profile_batch(baseline, folder, sample=500)
    theirs = profile_batch(baseline, folder, sample=500, engine=backwards)
    assert ours.to_bytes() == theirs.to_bytes()
    assert ours.sample is not None
    assert theirs.sample is not None
    assert ours.sample.rows == 500
    assert np.array_equal(ours.sample.keys, theirs.sample.keys)
    assert np.array_equal(ours.sample.column("heavy"), theirs.sample.column("heavy"))
    assert check(baseline, folder) == check(baseline, folder, engine=backwards)


def test_parts_draw_rows_of_their_own(tmp_path, draw, baseline) -> None:
    folder = write(draw(2000, seed=2), tmp_path / "b", parts=2)
    sample = profile_batch(baseline, folder).sample
    assert sample is not None
    assert len(np.unique(sample.keys)) == 2000, "two parts with one seed would pair their rows"


def test_a_folder_of_one_part_draws_what_the_single_file_draws(tmp_path, draw, baseline) -> None:
    folder = write(draw(2000, seed=2), tmp_path / "b", parts=1)
    whole, single = (profile_batch(baseline, path) for path in (folder, folder / "part-0.parquet"))
    assert whole.to_bytes() == single.to_bytes()
    assert whole.sample is not None
    assert single.sample is not None
    assert np.array_equal(whole.sample.keys, single.sample.keys)


def test_training_data_and_streams_may_be_folders(tmp_path, draw) -> None:
    frame = draw(2000, seed=2)
    folder = write(frame, tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(read_frame(folder), read_frame(list_of(folder)))
    assert header_of(folder) == tuple(frame.columns)
    chunks = list(stream(folder, frozenset({"n0"}), frozenset()))
    assert np.array_equal(np.concatenate([c.numeric["n0"] for c in chunks]), frame["n0"])
    fitted, plain = Baseline.fit(folder), Baseline.fit(frame)
    assert list(fitted.features) == list(plain.features)
    assert fitted.rows == 2000


def list_of(folder: Path) -> list[Path]:
    return [part.path for part in parts_of(folder)]


def test_parts_with_other_columns_are_named(tmp_path, draw, baseline) -> None:
    frame = draw(1000, seed=2)
    folder = write(frame, tmp_path / "b.parquet")
    frame.drop(columns="n3").assign(new=1).to_parquet(folder / "part-7.parquet", index=False)
    for use in (
        lambda: profile_batch(baseline, folder),
        lambda: read_frame(folder),
        lambda: list(stream(folder, frozenset(), frozenset({"protocol"}))),
    ):
        with pytest.raises(
            DataError, match=r'part-7\.parquet does not have the columns of .*: it lacks "n3" and'
        ) as no:
            use()
        assert no.value.kind == "columns"


def test_the_order_of_the_columns_may_differ(tmp_path, draw, baseline) -> None:
    frame = draw(1000, seed=2)
    folder = write(frame, tmp_path / "b.parquet")
    before = profile_batch(baseline, folder).to_bytes()
    last = pd.read_parquet(folder / "part-4.parquet")
    last[last.columns[::-1]].to_parquet(folder / "part-4.parquet", index=False)
    assert profile_batch(baseline, folder).to_bytes() == before
    assert list(read_frame(folder).columns) == list(frame.columns)


def test_parts_without_rows_are_said_and_a_folder_of_them_is_an_error(tmp_path, draw, baseline) -> None:
    frame = draw(1000, seed=2)
    folder = write(frame, tmp_path / "b.parquet")
    frame[:0].to_parquet(folder / "part-0.parquet", index=False)
    profile = profile_batch(baseline, folder)
    assert profile.rows == len(read_frame(folder)) == 800
    assert "1 of 5 parts have no rows" in profile.notes
    for part in parts_of(folder):
        frame[:0].to_parquet(part.path, index=False)
    for use in (lambda: profile_batch(baseline, folder), lambda: read_frame(folder)):
        with pytest.raises(DataError, match=r"b\.parquet") as error:
            use()
        assert error.value.kind == "no_rows"


def test_a_damaged_part_is_named(tmp_path, draw, baseline) -> None:
    folder = write(draw(1000, seed=2), tmp_path / "b.parquet")
    with (folder / "part-2.parquet").open("rb+") as file:
        file.truncate(600)
    with pytest.raises(DataError, match=r"part-2\.parquet is a damaged") as error:
        profile_batch(baseline, folder)
    assert error.value.kind == "truncated"


def test_cells_that_are_no_numbers_are_seen_in_whichever_part_they_are(tmp_path, draw, baseline) -> None:
    frame = draw(1000, seed=2)
    folder = write(frame, tmp_path / "b", ".csv")
    last = pd.read_csv(folder / "part-4.csv").astype({"n1": object})
    last.loc[:20, "n1"] = "1,5"
    last.to_csv(folder / "part-4.csv", index=False)
    profile = profile_batch(baseline, folder)
    assert profile.features["n1"].invalid == 21
    assert profile.probe is not None
    assert profile.probe.strays == {"n1": ("1,5",)}


def test_what_is_no_folder_of_parts_says_so(tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="is a folder without data files"):
        parts_of(empty)
    (empty / "day=1").mkdir()
    with pytest.raises(DataError, match=r'folders of its own \("day=1"\)'):
        parts_of(empty)


def test_the_digest_is_over_names_and_digests_of_the_parts(tmp_path, draw) -> None:
    folder = write(draw(100, seed=2), tmp_path / "b.parquet", parts=2)
    lines = [f"{hashlib.sha256(p.path.read_bytes()).hexdigest()}  {p.path.name}\n" for p in parts_of(folder)]
    before = sha256_file(folder)
    assert before == hashlib.sha256("".join(lines).encode()).hexdigest()
    (folder / "_SUCCESS").unlink()
    os.utime(folder / "part-0.parquet", (1, 1))
    assert sha256_file(folder) == before, "only what is read counts"
    (folder / "part-0.parquet").rename(folder / "part-9.parquet")
    assert sha256_file(folder) != before


def test_progress_is_that_of_the_whole_folder(tmp_path, draw, baseline) -> None:
    folder = write(draw(2000, seed=2), tmp_path / "b.parquet")
    told: list[tuple[int, int]] = []
    profile_batch(baseline, folder, progress=lambda done, whole: told.append((done, whole)), engine=here)
    size = sum(part.size for part in parts_of(folder))
    assert told == sorted(told)
    assert told[-1] == (size, size)


def test_malformed_rows_are_judged_over_the_whole(tmp_path, baseline, draw):
    frame = draw(4000, seed=2)
    folder = write(frame, tmp_path / "day", ".csv", parts=100)
    header = (folder / "part-99.csv").read_text().splitlines()
    (folder / "part-99.csv").write_text("\n".join([*header[:4], "1,2,3,4,5,6,7,8,9,10", ""]))
    (folder / "part-98.csv").write_text("\n".join([*header[:4], "1,2,3,4,5,6,7,8,9,10", ""]))
    profile = profile_batch(baseline, folder)
    (said,) = profile.errors
    assert f"2 of {profile.rows + 2:,} rows do not have" in said
    assert list(stream(folder, frozenset(), frozenset()))
    for part in folder.glob("part-*"):
        part.write_text(part.read_text() + "1,2,3,4,5,6,7,8,9,10\n" * 9)
    with pytest.raises(DataError, match="rows do not have"):
        profile_batch(baseline, folder)


def test_a_folder_that_is_still_being_written_is_not_taken_for_whole(tmp_path, baseline, draw):
    folder = write(draw(500, seed=2), tmp_path / "day")
    (folder / "_temporary").mkdir()
    for use in (lambda: profile_batch(baseline, folder), lambda: sha256_file(folder)):
        with pytest.raises(DataError, match="is still being written"):
            use()
