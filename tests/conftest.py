"""For every test: one thread for each numeric library, so that processes side by side do not wait for each other.

And a local S3 for those that ask for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from detectors.objects import ObjectPath
    from tests.s3 import S3

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: child processes inherit it
# Many tests run the command line as a process; without compiled modules each of them compiles all of ours anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    from tests.s3 import S3

    server = S3()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of MLflow whose tables are made: that takes seconds, a copy none."""
    from trainers.mlflow_registry import MlflowRegistry

    home = tmp_path_factory.mktemp("mlflow")
    assert MlflowRegistry(home).alias("nothing", "champion") is None
    return home / "mlflow.db"


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """An S3 that `s3://` leads to, with a usual environment."""
    from tests.s3 import ENVIRONMENT, forget_connections

    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    forget_connections()
    s3_server.asked.clear()
    yield s3_server
    forget_connections()


@pytest.fixture
def bucket(s3: S3) -> ObjectPath:
    """A bucket of this test's own."""
    return s3.bucket(f"bucket-{len(s3.client().list_buckets()['Buckets'])}")
