"""Objects in a store (S3, Google, Azure), read through fsspec, which is loaded with the first of them.

Credentials and endpoints are the store's own business: the environment, a profile, the machine's role, or fsspec's
configuration. None of them is ever in a URL, and so in no message and no state.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

from detectors.errors import DataError

# scheme: the package that reads it, and the extra that brings it
STORES = {
    "s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "abfs"), "abfss": ("adlfs", "abfs"), "az": ("adlfs", "abfs"),
}  # fmt: skip

UNREACHED = ("away", "denied")  # kinds of DataError that say nothing of the object: it is worth another try

_BLOCK = 8 << 20  # bytes that one request asks for; smaller objects are fetched whole
_KEPT = 4  # whole objects in memory: a check opens a file several times
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError",
    "UnauthorizedSSOTokenError", "DefaultCredentialsError", "RefreshError", "ClientAuthenticationError",
}  # fmt: skip
_AWAY = {  # classes of Python, botocore, aiohttp, urllib3, requests, Azure and Google
    "ConnectionError", "TimeoutError", "gaierror", "HTTPClientError", "ClientConnectionError", "ClientPayloadError",
    "IncompleteRead", "ResponseParserError", "Timeout", "ServiceRequestError", "ServiceResponseError", "TransportError",
}  # fmt: skip
_NETWORK = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
_BUSY = {408, 429}  # answers beside 5xx that a later request may not get
_SLOWER = {"SlowDown", "RequestTimeout", "RequestLimitExceeded", "Throttling", "ThrottlingException"}
_S3 = ("s3", "s3a")


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What tells one state of an object from another, under the names a file's has.

    Attributes:
        st_ino: a number made of the ETag.
        st_mtime_ns / st_ctime_ns: when it was written, in whole seconds: a listing may know more than a look.
    """

    st_size: int
    st_mtime_ns: int
    st_ino: int
    st_ctime_ns: int


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """The URL of an object, or of a prefix of objects; it answers what is asked of a `Path`.

    An object or bucket that is not there is a FileNotFoundError, as with files. DataError "denied" and "away" say
    that the store refuses, or cannot be reached now.
    """

    url: str

    @classmethod
    def named(cls, url: str) -> ObjectPath:
        """What a person wrote; nothing is asked yet.

        Raises:
            DataError: no such store is known, or its extra is not installed.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in STORES:
            raise DataError("unreadable", f"{url}: stores are named by s3://, gs:// or abfs://")
        authority = rest.split("/", 1)[0]
        user, at, _ = authority.partition("@")
        if at and ":" in user:  # not repeated: it may be a secret
            raise DataError(
                "unreadable", f"a {scheme}:// URL holds credentials: they belong in the environment"
            )
        if not authority:
            raise DataError("unreadable", f"{url} names no bucket")
        package, extra = STORES[scheme]
        if find_spec(package) is None:
            raise DataError(
                "extra", f'{url}: reading {scheme}:// needs an extra: pip install "driftcatcher[{extra}]"'
            )
        return cls(url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}")

    def as_uri(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme, the bucket, and the parts of the key."""
        scheme, _, rest = self.url.partition("://")
        return (f"{scheme}://", *rest.split("/"))

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def bucket(self) -> ObjectPath:
        """Where the object is in."""
        return ObjectPath("".join(self.parts[:2]))

    @property
    def parent(self) -> ObjectPath:
        """The prefix above; a bucket is its own."""
        return self if len(self.parts) == 2 else ObjectPath(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> ObjectPath:
        return self.parent / name

    def absolute(self) -> ObjectPath:
        return self

    def stat(self) -> ObjectStat:
        """One request; nothing is read."""
        with self._asking() as (store, key):
            info = store.info(key)
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "it is a prefix, name an object", self.url)
        return _stat(info)

    def is_file(self) -> bool:
        try:
            self.stat()
        except (FileNotFoundError, IsADirectoryError):
            return False
        return True

    exists = is_file

    def is_symlink(self) -> bool:
        return False

    def is_dir(self) -> bool:
        """Whether there are objects under this prefix."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        except IsADirectoryError:
            return True
        return False

    def open(self, mode: str = "rb") -> Any:
        """The bytes as a seekable file: of one state of the object, or DataError "changed"."""
        stat = self.stat()
        if stat.st_size <= _BLOCK:
            return io.BytesIO(_content(self, stat))
        with self._asking() as (store, key):
            return _Reader(self, store.open(key, mode, block_size=_BLOCK, cache_type="readahead"))

    def read_bytes(self) -> bytes:
        with self.open() as file:
            data: bytes = file.read()
            return data

    def write_bytes(self, data: bytes) -> None:
        """Whole or not at all, as stores write."""
        with self._asking() as (store, key):
            store.pipe_file(key, data)

    def unlink(self, *, missing_ok: bool = False) -> None:
        try:
            with self._asking() as (store, key):
                store.rm_file(key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def move(self, target: ObjectPath) -> None:
        """Copy, look, delete: at every moment one of the two is whole. DataError "changed" leaves it where it was."""
        before = self.stat()
        try:
            with self._asking() as (store, key), target._asking() as (_, there):
                store.cp_file(key, there)
            if self.stat() != before or target.stat().st_size != before.st_size:
                raise DataError("changed", f"{self} was written to while it was moved: try again")
        except BaseException:
            with suppress(DataError):  # a store that does not say whether this one is there keeps both
                if self.is_file():
                    target.unlink(missing_ok=True)
            raise
        try:
            self.unlink()
        except (OSError, DataError):
            # it may have been deleted, and only the answer was lost; a look that fails keeps both
            if self._is(before):
                target.unlink(missing_ok=True)
                raise

    def _is(self, state: ObjectStat) -> bool:
        try:
            return self.stat() == state
        except OSError:
            return False

    @property
    def is_pattern(self) -> bool:
        """Whether it has a `*` or a `?`; a `[` alone is a letter like any other."""
        return "*" in self.url or "?" in self.url

    @property
    def root(self) -> ObjectPath:
        """The prefix that a listing starts from: of a pattern, the parts before the first with a wildcard."""
        return self.parent.root if self.is_pattern and len(self.parts) > 2 else self

    def listing(self) -> list[tuple[ObjectPath, ObjectStat]]:
        """The objects directly under this prefix, or those a pattern names; none of them is read.

        Raises:
            FileNotFoundError: the bucket is not there. A prefix without objects is merely empty.
        """
        found: list[dict[str, Any]] = []
        with suppress(FileNotFoundError), self._asking() as (store, key):
            if "**" in key:
                found = list(store.glob(key, detail=True).values())
            elif self.is_pattern:
                found = _matching(store, key, len(self.parts) - len(self.root.parts))
            else:
                found = store.ls(key, detail=True)
        if not found:
            self.require_bucket()
        top, above = self.bucket.url, len(found[0]["name"].split("/", 1)[0]) if found else 0
        return [
            (ObjectPath(top + one["name"][above:]), _stat(one))
            for one in found
            if one["type"] == "file" and one["name"] != key
        ]

    def require_bucket(self) -> None:
        """FileNotFoundError or DataError where nothing can be listed under this prefix; one request."""
        s3 = self.scheme in _S3
        with (self.root if s3 else self.bucket)._asking() as (store, key):
            if s3:  # its `info` of a bucket needs a right of its own
                bucket, prefix, _ = store.split_path(key)
                asked = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else "", "MaxKeys": 1}
                store.call_s3("list_objects_v2", **asked)
            else:
                store.info(key)

    @contextmanager
    def _asking(self) -> Iterator[tuple[Any, str]]:
        """The store and the object's name there; what the store says becomes an error of ours."""
        try:
            yield _store(self.scheme, self.url)
        except (DataError, IsADirectoryError):
            raise
        except Exception as error:
            raise _said(self, error) from error


class _Reader(io.RawIOBase):
    """A large object, read block by block; an error on the way is one of the store, not a damaged file."""

    def __init__(self, path: ObjectPath, file: Any) -> None:
        self._path, self._file = path, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        try:
            try:
                data: bytes = self._file.read(size)
            except Exception as error:
                if not _is_away(error):
                    raise
                data = self._file.read(size)  # a long read is not given up for one block
        except Exception as error:
            said = _said(self._path, error)
            if isinstance(said, FileNotFoundError):  # it was there when it was opened
                said = _changed(self._path)
            raise said from error
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _store(scheme: str, url: str) -> tuple[Any, str]:
    """The client for a URL, and the object's name there. fsspec's own `url_to_fs` takes a key with `::` apart."""
    import fsspec

    client = fsspec.get_filesystem_class(scheme)
    # a listing that is remembered would hide what has come since
    store = client(use_listings_cache=False, **client._get_kwargs_from_urls(url))
    if scheme in _S3:
        # two sorts of retries multiply: a server that never answers would take minutes to be given up
        store.retries = 1
        store.config_kwargs.setdefault("retries", {"total_max_attempts": 2})
    return store, client._strip_protocol(url)


def _matching(store: Any, pattern: str, levels: int) -> list[dict[str, Any]]:
    """What a pattern names. fsspec's own glob passes over a prefix that could not be listed, as if it were empty."""
    root, *parts = pattern.rsplit("/", levels)
    found: list[dict[str, Any]] = [{"name": root, "type": "directory"}]
    for part in parts:
        above = [one["name"] for one in found if one["type"] == "directory"]
        found = []
        for prefix in above:
            with suppress(FileNotFoundError):  # it has been emptied since it was listed
                found += [one for one in store.ls(prefix, detail=True) if fnmatchcase(_last(one), part)]
    return found


def _last(info: dict[str, Any]) -> str:
    return str(info["name"]).rstrip("/").rpartition("/")[2]


@lru_cache(_KEPT)
def _content(path: ObjectPath, _state: ObjectStat) -> bytes:
    with path._asking() as (store, key):
        data: bytes = store.cat_file(key, max_concurrency=1)  # more would ask for its size again
        return data


def _stat(info: dict[str, Any]) -> ObjectStat:
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    modified = info.get("LastModified") or info.get("last_modified") or info.get("mtime") or 0
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    seconds = modified.timestamp() if isinstance(modified, datetime) else modified
    at = int(seconds) * 10**9
    number = int.from_bytes(blake2b(etag.encode(), digest_size=7).digest(), "big")
    return ObjectStat(int(info["size"] or 0), at, number, at)


def _said(path: ObjectPath, error: Exception) -> Exception:
    """The error of a store's client, which has classes of its own, as one of ours."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "there is no such object or bucket", path.url)
    kind, said = type(error).__name__, " ".join(str(error).split())
    if kind == "FileExpired":
        return _changed(path)
    if kind in _NO_CREDENTIALS:
        return DataError("denied", f"{path}: the store has no credentials from this machine ({said})")
    if isinstance(error, PermissionError):
        return DataError("denied", f"{path}: the store refuses: {said or 'no permission'}")
    if _is_away(error):
        return DataError(
            "away", f"{path}: the store cannot be reached now ({said or kind}): it is tried again"
        )
    return DataError("unreadable", f"{path}: the store says: {said or kind}")


def _is_away(error: Exception) -> bool:
    """Whether it is about the line or the server, and not about this object."""
    if any(kind.__name__ in _AWAY for kind in type(error).__mro__):
        return True
    if isinstance(error, OSError) and error.errno in _NETWORK:
        return True
    answer = getattr(error.__cause__ or error, "response", None)  # botocore's
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status in _BUSY or answer.get("Error", {}).get("Code") in _SLOWER
    status = next((n for name in ("status", "status_code", "code") if (n := getattr(error, name, None))), 0)
    return isinstance(status, int) and (status >= 500 or status in _BUSY)


def _changed(path: ObjectPath) -> DataError:
    return DataError("changed", f"{path} was written to while it was read: check it again")
