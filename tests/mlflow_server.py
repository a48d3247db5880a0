"""A real tracking server of MLflow, on a copy of a store whose tables are made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(folder: Path, template: Path, port: int | None = None) -> Iterator[str]:
    """The server's URL, once it answers; its store and files are in `folder`."""
    store = folder / "server.db"
    store.write_bytes(template.read_bytes())
    port = port or free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    places = ["--backend-store-uri", f"sqlite:///{store}", "--artifacts-destination", str(folder / "served")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "server.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*command, *places],
            env={**os.environ, **quiet},
            stdout=said,
            stderr=said,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], said: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, said.read_text()
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the server did not come up: {said.read_text()}")
