"""A file's digest ahead of time: the same as afterwards, and no change of the file goes unseen."""

from __future__ import annotations

import hashlib

import pytest

from bot.identity import begin
from bot.listing import stamp_of
from detectors.digest import sha256_file
from detectors.errors import DataError


def test_it_is_the_sha256_of_the_bytes_also_of_several_steps(tmp_path):
    file = tmp_path / "batch.csv"
    file.write_bytes(b"a,b\n" + bytes(range(256)) * 80_000)  # 20 MB
    identity = begin(file)
    assert identity.stamp == stamp_of(file)
    assert identity.digest() == identity.digest() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_of_a_folder_it_is_that_of_its_parts(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("1.csv", "2.csv"):
        (folder / name).write_text(f"a\n{name[0]}\n")
    assert begin(folder).digest() == sha256_file(folder)


def test_a_file_that_cannot_be_read_is_refused_where_the_digest_is_asked_for(tmp_path):
    identity = begin(tmp_path / "absent.csv")
    assert identity.stamp is None
    with pytest.raises(DataError, match="cannot be read"):
        identity.digest()


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_file_that_was_written_to_since_its_digest_began_is_not_taken_for_the_old_one(
    watched, traffic, tmp_path, known
):
    monitoring, file = watched.app.monitoring, tmp_path / "batch.csv"
    file.write_bytes(traffic.stable.read_bytes())
    if known:
        assert monitoring.check(watched.model, file).batch.report.verdict == "stable"
    identity = begin(file)
    assert identity.digest() == sha256_file(traffic.stable)
    file.write_bytes(traffic.drifted.read_bytes())
    checked = monitoring.check(watched.model, file, identity=identity)
    assert checked.fresh and checked.batch.sha256 == sha256_file(traffic.drifted)
    assert checked.batch.report.verdict == "drift"
    assert not monitoring.check(watched.model, file, identity=begin(file)).fresh
