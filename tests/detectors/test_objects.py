"""Objects of a store are read as files are, and what goes wrong with a store is told from what is wrong with them."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from detectors import Baseline, check, objects
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import location
from detectors.objects import ObjectPath
from detectors.source import read_frame
from tests.s3 import S3, forget_connections, upload


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of some kilobytes are read as large ones are: block by block."""
    monkeypatch.setattr(objects, "_BLOCK", 4096)


@pytest.fixture
def patch_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, object], None]]:
    """Replaces a method of s3fs: a client binds them once, so no other client may be used before or after."""
    from s3fs import S3FileSystem

    def patch(name: str, method: object) -> None:
        monkeypatch.setattr(S3FileSystem, name, method)
        forget_connections()

    yield patch
    forget_connections()


def files(folder: Path, frame: pd.DataFrame) -> list[Path]:
    plain = folder / "a.csv"
    frame.to_csv(plain, index=False)
    (folder / "a.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    frame.to_parquet(folder / "a.parquet")
    return [plain, folder / "a.csv.gz", folder / "a.parquet"]


@pytest.mark.parametrize("how", ["whole", "small_blocks"])
def test_an_object_says_what_the_file_says(bucket, tmp_path, draw, how, request) -> None:
    if how == "small_blocks":
        request.getfixturevalue(how)
    baseline = Baseline.fit(draw(2000))
    baseline.save(f"{bucket}/kept/b.npz")
    baseline = Baseline.load(f"{bucket}/kept/b.npz")
    for file in files(tmp_path, draw(500, 1)):
        far = upload(file, bucket)
        assert sha256_file(far) == sha256_file(file)
        assert check(baseline, str(far)) == check(baseline, file)
        pd.testing.assert_frame_equal(read_frame(str(far)), read_frame(file))


def test_a_small_object_is_fetched_once_for_one_check(s3: S3, bucket, tmp_path, draw) -> None:
    baseline = Baseline.fit(draw(2000))
    file, *_ = files(tmp_path, draw(500, 1))
    far = upload(file, bucket)
    s3.read()
    sha256_file(far)
    check(baseline, far)
    assert s3.read() == [f"GET /{bucket.name}/a.csv"]


def test_what_is_not_there_is_said(bucket) -> None:
    for missing in (
        bucket / "no.csv",
        ObjectPath("s3://nobody-has-this-bucket/no.csv"),
        bucket / "no.parquet",
    ):
        with pytest.raises(DataError, match=f"{re.escape(str(missing))} does not exist") as said:
            read_frame(missing)
        assert said.value.kind == "unreadable"
    (bucket / "folder" / "a.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match="it is a prefix, name an object"):
        read_frame(bucket / "folder")
    assert (bucket / "nothing-here").listing() == []
    with pytest.raises(FileNotFoundError):
        ObjectPath("s3://nobody-has-this-bucket/in").listing()


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_an_object_that_changes_under_the_reader_is_noticed(bucket, small_blocks, what) -> None:
    far = bucket / "a.csv"
    far.write_bytes(b"a,b\n" + b"1,2\n" * 10_000)
    file = far.open()
    file.read(10)
    if what == "replaced":
        far.write_bytes(b"a,b\n" + b"3,4\n" * 10_000)
    else:
        far.unlink()
    with pytest.raises(DataError) as said:
        while file.read(1000):
            pass
    assert said.value.kind == "changed"


def test_a_store_that_breaks_off_is_no_damaged_file(bucket, small_blocks, tmp_path, draw) -> None:
    for file in files(tmp_path, draw(2000)):
        far, broken_off = upload(file, bucket), 0
        while (kind := _read_until(far, broken_off)) is not None:
            assert (file.name, kind) == (file.name, "away")
            broken_off += 1
        assert broken_off >= 2, "the file is read in several requests"


def _read_until(far: ObjectPath, requests: int) -> str | None:
    """Read it with a store that answers so many requests; the kind of error, or None where they are enough."""
    from s3fs.core import S3File

    left, fetch = iter(range(requests)), S3File._fetch_range

    def breaking(*words: object) -> object:
        if next(left, None) is None:
            raise ConnectionResetError("the line is cut")
        return fetch(*words)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(S3File, "_fetch_range", breaking)
        try:
            read_frame(far)
        except DataError as error:
            return error.kind
    return None


def test_one_block_that_does_not_come_is_asked_for_again(bucket, small_blocks, monkeypatch) -> None:
    from s3fs.core import S3File

    fetch, cut = S3File._fetch_range, iter(range(1))

    def cut_once(*words: object) -> object:
        if next(cut, None) is not None:
            raise ConnectionResetError("the line is cut")
        return fetch(*words)

    far = bucket / "a.csv"
    far.write_bytes(b"a,b\n" + b"1,2\n" * 10_000)
    monkeypatch.setattr(S3File, "_fetch_range", cut_once)
    assert len(read_frame(far)) == 10_000
    assert next(cut, None) is None


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, "away"),
        ("InternalError", 500, "away"),
        ("SomethingNew", 502, "away"),
        ("Throttling", 400, "away"),
        ("TooManyRequests", 429, "away"),
        ("AccessDenied", 403, "denied"),
        ("InvalidRequest", 400, "unreadable"),
        ("SomethingNew", 400, "unreadable"),
    ],
)
def test_only_what_a_later_request_may_get_is_away(code, status, kind) -> None:
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    said = objects._said(ObjectPath("s3://b/a.csv"), translate_boto_error(ClientError(answer, "GetObject")))
    assert isinstance(said, DataError)
    assert said.kind == kind


def test_a_store_that_accepts_and_never_answers_is_given_up(s3: S3, patch_store, monkeypatch) -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):  # it is closed
                while True:
                    asked.append(server.accept())

        threading.Thread(target=accept, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        patch_store("read_timeout", 0.2)
        with pytest.raises(DataError, match="cannot be reached now") as said:
            ObjectPath("s3://b/in").listing()
    assert (said.value.kind, len(asked)) == ("away", 2)


def test_no_permission_no_credentials_and_no_network_are_told_apart(s3: S3, bucket, monkeypatch) -> None:
    far = bucket / "a.csv"
    far.write_bytes(b"a,b\n1,2\n")
    with s3.strict(), pytest.raises(DataError, match="the store refuses") as said:
        far.stat()
    assert said.value.kind == "denied"

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_connections()
    with pytest.raises(DataError, match="no credentials") as said:
        sha256_file(far)
    assert said.value.kind == "denied"

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_connections()
    with pytest.raises(DataError, match="cannot be reached now") as said:
        sha256_file(far)
    assert said.value.kind == "away"
    assert "very-secret" not in str(said.value)


def test_a_move_has_one_whole_object_at_every_moment(bucket, monkeypatch) -> None:
    far, aside = bucket / "in" / "a.csv", bucket / "aside" / "a.csv"
    far.write_bytes(b"a,b\n1,2\n")

    def refuse(path: ObjectPath, *, missing_ok: bool = False) -> None:
        if path == far:
            raise DataError("denied", "not to be deleted")
        unlink(path, missing_ok=missing_ok)

    unlink = ObjectPath.unlink
    with monkeypatch.context() as patched:
        patched.setattr(ObjectPath, "unlink", refuse)
        with pytest.raises(DataError, match="not to be deleted"):
            far.move(aside)
    assert (far.exists(), aside.exists()) == (True, False)
    far.move(aside)
    assert (far.exists(), aside.read_bytes()) == (False, b"a,b\n1,2\n")


def test_a_delete_whose_answer_is_lost_loses_no_object(bucket, monkeypatch, patch_store) -> None:
    from s3fs import S3FileSystem

    far, aside = bucket / "in" / "a.csv", bucket / "aside" / "a.csv"
    delete, stat = S3FileSystem._rm_file, ObjectPath.stat

    async def deleted_in_silence(store: S3FileSystem, key: str, **words: object) -> None:
        await delete(store, key, **words)
        raise TimeoutError

    async def not_deleted(*_: object, **__: object) -> None:
        monkeypatch.setattr(ObjectPath, "stat", away)
        raise TimeoutError

    def away(path: ObjectPath) -> None:
        raise DataError("away", "nobody answers")

    far.write_bytes(b"a,b\n1,2\n")
    patch_store("_rm_file", deleted_in_silence)
    far.move(aside)
    assert (far.exists(), aside.read_bytes()) == (False, b"a,b\n1,2\n")

    far.write_bytes(b"a,b\n3,4\n")
    patch_store("_rm_file", not_deleted)
    with pytest.raises(DataError, match="nobody answers"):
        far.move(aside)
    monkeypatch.setattr(ObjectPath, "stat", stat)
    assert far.read_bytes() == aside.read_bytes() == b"a,b\n3,4\n"


def test_a_copy_is_kept_when_the_object_has_gone_meanwhile(bucket, patch_store) -> None:
    from s3fs import S3FileSystem

    far, aside = bucket / "in" / "a.csv", bucket / "aside" / "a.csv"
    far.write_bytes(b"a,b\n1,2\n")
    copy = S3FileSystem._cp_file

    async def somebody_deletes(store: S3FileSystem, key: str, *words: object) -> None:
        await copy(store, key, *words)
        await store._rm_file(key)

    patch_store("_cp_file", somebody_deletes)
    with pytest.raises(FileNotFoundError):
        far.move(aside)
    assert aside.read_bytes() == b"a,b\n1,2\n"


def test_an_object_that_was_replaced_while_it_was_moved_is_kept(bucket, monkeypatch) -> None:
    far, aside = bucket / "in" / "a.csv", bucket / "aside" / "a.csv"
    far.write_bytes(b"a,b\n1,2\n")
    before, looks = far.stat(), iter(range(1))
    stat = ObjectPath.stat

    def first_look_was_earlier(path: ObjectPath) -> object:
        if path == far and next(looks, None) is not None:
            far.write_bytes(b"a,b\n3,4\n")
            return before
        return stat(path)

    monkeypatch.setattr(ObjectPath, "stat", first_look_was_earlier)
    with pytest.raises(DataError, match="while it was moved"):
        far.move(aside)
    assert (far.read_bytes(), aside.exists()) == (b"a,b\n3,4\n", False)


def test_a_url_is_a_path(monkeypatch) -> None:
    monkeypatch.setattr(objects, "find_spec", lambda package: package)
    far = ObjectPath("s3://bucket/a/b.csv.gz")
    assert (far.name, far.suffix, str(far.parent), str(far.bucket)) == (
        "b.csv.gz", ".gz", "s3://bucket/a", "s3://bucket",
    )  # fmt: skip
    assert far.parent / "c.csv" == far.with_name("c.csv") == ObjectPath("s3://bucket/a/c.csv")
    assert far.bucket.parent == far.bucket
    assert isinstance(location("a/b.csv"), Path)
    assert str(location("s3://bucket/a/")) == "s3://bucket/a"
    assert location("abfs://container@account.dfs.core.windows.net/a.csv").name == "a.csv"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/a.csv", "stores are named by s3://, gs:// or abfs://"),
        ("s3://", "names no bucket"),
        ("s3://key:secret@bucket/a.csv", "belong in the environment"),
        ("gs://bucket/a.csv", 'pip install "driftcatcher[gcs]"'),
        ("abfs://container/a.csv", 'pip install "driftcatcher[abfs]"'),
        ("s3://bucket/a.csv", 'pip install "driftcatcher[s3]"'),
    ],
)
def test_a_url_that_cannot_be_used_says_why(url, said, monkeypatch) -> None:
    monkeypatch.setattr(objects, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=re.escape(said)) as error:
        location(url)
    assert "secret" not in str(error.value)


def test_files_of_this_machine_need_no_fsspec(tmp_path, draw) -> None:
    Baseline.fit(draw(200)).save(tmp_path / "b.npz")
    file, *_ = files(tmp_path, draw(100, 1))
    code = (
        "import sys; from detectors import Baseline, check\n"
        "check(Baseline.load(sys.argv[1]), sys.argv[2])\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('fsspec', 's3fs', 'aiobotocore')])"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "b.npz"), str(file)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"
