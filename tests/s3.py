"""An S3 of this machine: moto's server on 127.0.0.1, asked over HTTP as the real one is, with every request counted."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler

from detectors.objects import ObjectPath

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-so-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",  # a test does not wait for a store that is away
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


class S3:
    """The server, while it runs, and what it was asked."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._patched = pytest.MonkeyPatch()
        self.asked: list[str] = []  # "GET /bucket/key" of every request

    def start(self) -> None:
        asked = self.asked

        def log_request(handler: WSGIRequestHandler, *_: object) -> None:
            asked.append(f"{handler.command} {handler.path}")

        self._patched.setattr(WSGIRequestHandler, "log_request", log_request)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        self._patched.undo()

    @property
    def url(self) -> str:
        host, port = self._server.get_host_and_port()
        return f"http://{host}:{port}"

    def bucket(self, name: str) -> ObjectPath:
        """A bucket with nothing in it."""
        self.client().create_bucket(Bucket=name)
        return ObjectPath.named(f"s3://{name}")

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="not-so-secret",
        )

    def fill(self, bucket: ObjectPath, keys: Iterable[str]) -> None:
        """Many small objects at once, without asking for each."""
        from moto.s3.models import s3_backends

        store = next(iter(s3_backends.values()))["aws"]
        for key in keys:
            store.put_object(bucket.name, key, b"a\n1\n")

    def read(self) -> list[str]:
        """The requests since the last call that read an object."""
        gets = [line for line in self.asked if line.startswith("GET ") and "list-type=2" not in line]
        self.asked.clear()
        return gets

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Every request is refused: nobody was given a right."""
        self._authorize_after(0)
        try:
            yield
        finally:
            self._authorize_after(10**9)

    def _authorize_after(self, requests: int) -> None:
        plain = {"Content-Type": "text/plain"}
        body = str(requests).encode()
        asked = urllib.request.Request(f"{self.url}/moto-api/reset-auth", body, plain)
        urllib.request.urlopen(asked).close()


def forget_connections() -> None:
    """fsspec keeps one client a thread, with the endpoint that it was made with."""
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()


def upload(file: Path, to: ObjectPath) -> ObjectPath:
    target = to / file.name
    target.write_bytes(file.read_bytes())
    return target
