"""Where a version comes from: code, data, configuration, environment, and who asked for it.

Kept with the version in the state file and with its MLflow run. Everything is plain JSON, so that a record of today is
read by a later release.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MEASURED = ("numpy", "scipy", "scikit-learn", "pandas", "skops", "mlflow")  # what can change a number


@dataclass(frozen=True, slots=True)
class Revision:
    """A git commit; `dirty` where tracked files differ from it."""

    commit: str
    dirty: bool = False

    def __str__(self) -> str:
        return self.commit + ("+dirty" if self.dirty else "")


@dataclass(frozen=True, slots=True)
class DvcRevision:
    """What DVC says of a file.

    Attributes:
        pointer: the `.dvc` file or `dvc.lock` that names it.
        md5: the hash in there; with ".dir" at its end that of a folder.
        commit: the newest git commit that holds the pointer as it was; empty where none does.
        matches: whether the file's bytes are those of the hash; None where that cannot be told (a folder, or a hash of
            DVC 2, which reads line ends its own way).
    """

    pointer: str
    md5: str
    commit: str = ""
    matches: bool | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A labelled file as it was given.

    Attributes:
        path, sha256, rows, era: as in `trainers.base.DataFile`.
        role: "old" = base data, or what the champion was trained on; "new" = what came with this training.
        dvc: its revision, where DVC tracks it.
    """

    path: str
    sha256: str
    rows: int
    role: Literal["old", "new"]
    dvc: DvcRevision | None = None
    era: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """What the caller of a training knows of it.

    Attributes:
        project: the folder of driftcatcher.toml; empty for none.
        trainer: the [models.trainer] table as configured.
        cluster: address of the Dask scheduler that may have taken part.
        by / why / at: who asked for the training or approved it, the reason, and when (UTC, ISO 8601).
        incident / retrain: their numbers in the state file.
    """

    project: str = ""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = ""
    by: str = ""
    why: str = ""
    at: str = ""
    incident: int | None = None
    retrain: int | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from.

    Attributes:
        kind: "train" (from labelled files alone) or "retrain" (on a champion's data and new files).
        parent: the champion whose data it was trained on, too.
        project: git commit of the project's folder, where it lies in a repository.
        code: driftcatcher's own: a git commit, or the version of the package.
        sources: every labelled file as it was given, in that order.
        configuration: label specification, gate and trainer as they were used, in JSON types.
        environment: python, platform, processors and versions of what can change a number.
        seed: of the trainer, where it has one.
        rows: training rows;  data_sha256: digest over their features and labels.
        origin: who asked for it, and why.
        trained_at: UTC, ISO 8601.
    """

    kind: Literal["train", "retrain"]
    parent: int | None
    project: Revision | None
    code: str
    sources: tuple[Source, ...]
    configuration: Mapping[str, Any]
    environment: Mapping[str, str]
    seed: int | None = None
    rows: int = 0
    data_sha256: str = ""
    origin: Origin = field(default_factory=Origin)
    trained_at: str = ""

    @property
    def old(self) -> tuple[Source, ...]:
        """The base data, or the champion's."""
        return tuple(source for source in self.sources if source.role == "old")

    @property
    def new(self) -> tuple[Source, ...]:
        """The files that came with this training."""
        return tuple(source for source in self.sources if source.role == "new")


def environment(trainer: object | None = None) -> dict[str, str]:
    """Python, platform, processors, and the versions of what can change a number.

    Of a trainer that is not built in, the distribution that it comes from too.
    """
    found = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": str(_processors()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", ""),
    }
    names = [*_MEASURED, *_distributions(trainer)]
    return found | {name: _version(name) for name in dict.fromkeys(names)}


def data_digest(features: pd.DataFrame, labels: np.ndarray) -> str:
    """SHA-256 over the names of the columns and each row's features and label, in order."""
    import numpy as np
    import pandas as pd

    digest = hashlib.sha256("\x1f".join(map(str, features.columns)).encode("utf-8", "surrogatepass"))
    digest.update(pd.util.hash_pandas_object(features, index=False).to_numpy().astype("<u8").tobytes())
    digest.update(np.asarray(labels).astype("<i8").tobytes())
    return digest.hexdigest()


def utc_text(moment: datetime | None = None) -> str:
    """A time, or now, as it stands in a record."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def seed_of(params: Mapping[str, Any]) -> int | None:
    """The seed among a trainer's parameters, by the names that are usual."""
    found: Sequence[Any] = [params[name] for name in ("random_state", "seed") if name in params]
    return next((value for value in found if isinstance(value, int)), None)


def _processors() -> int:
    """Those this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _distributions(trainer: object | None) -> tuple[str, ...]:
    """The installed packages that a trainer's class is from."""
    from importlib.metadata import packages_distributions

    trainer = getattr(trainer, "trainer", trainer)  # one that runs on a cluster holds the one it is
    top = type(trainer).__module__.partition(".")[0] if trainer is not None else "trainers"
    if top in ("trainers", "builtins", "__main__"):
        return ()
    return tuple(packages_distributions().get(top, ()))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
