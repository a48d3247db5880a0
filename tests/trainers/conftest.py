from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainers.base import LabelSpec
from trainers.mlflow_registry import MlflowRegistry

# Threads that wait for each other in a busy loop are slow beside other work on the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_KINDS = {"BENIGN": 0.0, "ddos": 4.0, "scan": -4.0}


@pytest.fixture
def home(tmp_path: Path, mlflow_template: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(mlflow_template, folder / "mlflow.db")
    return folder


@pytest.fixture
def registry(home: Path) -> MlflowRegistry:
    return MlflowRegistry(home, ui_url="http://127.0.0.1:5000/")


@pytest.fixture
def spec() -> LabelSpec:
    return LabelSpec("label", negative=("BENIGN",), ignore=("id",), categorical=("proto",))


@pytest.fixture
def flows() -> Callable[..., pd.DataFrame]:
    """`flows(rows, kinds, seed)`: labelled rows in which the column "rate" tells the kinds apart."""

    def make(rows: int = 300, kinds: tuple[str, ...] = ("BENIGN", "ddos"), seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        label = rng.choice(kinds, size=rows)
        return pd.DataFrame(
            {
                "id": rng.integers(0, 10**9, size=rows),
                "rate": np.round(rng.normal([_KINDS[k] for k in label], 0.5), 6),
                "bytes": rng.integers(0, 10**6, size=rows),
                "proto": rng.choice([6, 17], size=rows),
                "service": rng.choice(["http", "dns", "ssh"], size=rows),
                "label": label,
            }
        )

    return make


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[pd.DataFrame, str], Path]:
    def write(frame: pd.DataFrame, name: str) -> Path:
        path = tmp_path / name
        frame.to_csv(path, index=False)
        return path

    return write
