"""The MLflow UI on the project's own store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from trainers.base import TrainingError
from trainers.mlflow_registry import MlflowRegistry

_PATIENCE = 10.0  # seconds between asking the server to end and making it


def serve_ui(home: Path, tracking_uri: str | None, port: int) -> int:
    """Run the MLflow server on 127.0.0.1 until it ends or is interrupted; returns its exit status.

    Args:
        home: folder of the project, where the default store is.
        tracking_uri: the configured store; None is the default one.
        port: where it listens.

    Raises:
        TrainingError: the store is a server itself, or cannot be opened.
    """
    registry = MlflowRegistry(home, tracking_uri)
    if registry.tracking_uri.startswith(("http://", "https://")):
        raise TrainingError(f"MLflow is a server of its own here: open {registry.tracking_uri} in a browser")
    home = Path(home).absolute()
    if tracking_uri is not None or not (home / "mlflow.db").exists():
        registry.alias("none", "none")  # makes the tables under our lock, which the server does not know
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", registry.tracking_uri,
        "--default-artifact-root", (home / "mlartifacts").as_uri(),
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # A session of its own: the server has children, and all of them are to end with it.
    child = subprocess.Popen(command, env={**os.environ, **quiet}, start_new_session=True)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(child)
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the server and its children, politely first."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
