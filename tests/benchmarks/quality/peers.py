"""Other monitors on the same batches, each in an environment of its own under .cache/peers.

A peer runs as a child process that is given one line of JSON for each reference (paths of Parquet files, and which
columns are numbers and which categories) and answers with one line that begins with a record separator: for each
batch whether it raises an alarm, whether any single feature does, the features by suspicion, and seconds; or an error.
Identifier columns are left out for them, as a user would. One that estimates a model's accuracy is also given a line
with what the model said on its hold-outs ("record": label, said, probability) and on batches without labels, and
answers with accuracy, low, high, alarm and seconds.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.quality.environments import Unavailable, install
from tests.benchmarks.quality.judges import Estimated, Judgement


@dataclass(frozen=True, slots=True)
class Peer:
    """A monitor to compare with.

    Attributes:
        name: as it stands in the table.
        pins: what is installed.
        script: the child process, beside this file.
        any_name: the row for "any single feature", where the peer's own verdict on a batch is another one.
        estimates: estimates the accuracy of a model without labels too.
    """

    name: str
    folder: str
    pins: tuple[str, ...]
    script: str
    any_name: str = ""
    estimates: bool = False


PEERS = (
    Peer(
        "Evidently 0.7.23, defaults",
        "evidently",
        ("evidently==0.7.23", "pandas==2.3.3", "pyarrow"),
        "peer_evidently.py",
        "Evidently 0.7.23, any feature",
    ),
    Peer(
        "NannyML 0.13.1, univariate defaults",
        "nannyml",
        ("nannyml==0.13.1", "pandas==2.3.3", "pyarrow", "statsmodels"),
        "peer_nannyml.py",
        estimates=True,
    ),
)


@dataclass(slots=True)
class PeerJudge:
    """A running peer. `close` ends it."""

    peer: Peer
    process: subprocess.Popen[str] = field(init=False)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        python = install(self.peer.folder, self.peer.pins)
        script = Path(__file__).with_name(self.peer.script)
        self.process = subprocess.Popen(
            [str(python), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def name(self) -> str:
        return self.peer.name

    def judge(
        self, reference: pd.DataFrame, batches: Iterable[pd.DataFrame], period: str | None = None
    ) -> list[Judgement]:
        features = [name for name in reference.columns if name != period and not name.startswith("id_")]
        # a column without any value in the reference is none that a user would hand over
        features = [name for name in features if reference[name].notna().any()]
        numerical = [name for name in features if reference[name].dtype.kind in "fi"]
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            _write(reference[features], home / "reference.parquet")
            paths = []
            for k, batch in enumerate(batches):
                paths.append(str(home / f"batch{k}.parquet"))
                _write(batch[features], Path(paths[-1]))
            task = {
                "reference": str(home / "reference.parquet"),
                "batches": paths,
                "numerical": numerical,
                "categorical": [name for name in features if name not in numerical],
            }
            return [self._judgement(said) for said in self._ask(task)]

    def estimate(self, record: pd.DataFrame, batches: Iterable[pd.DataFrame]) -> list[Estimated | None]:
        """Of each batch, where it could be estimated.

        Args:
            record: label and said (0 or 1) and probability of class 1 on the model's hold-outs.
            batches: said and probability.
        """
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            record.to_parquet(home / "record.parquet")
            paths = []
            for k, batch in enumerate(batches):
                paths.append(str(home / f"batch{k}.parquet"))
                batch.to_parquet(paths[-1])
            answers = self._ask({"record": str(home / "record.parquet"), "batches": paths})
        return [self._estimated(said) for said in answers]

    def _estimated(self, said: Mapping[str, object]) -> Estimated | None:
        if "error" in said:
            self.errors.append(str(said["error"]))
            return None
        accuracy, low, high, seconds = (float(str(said[k])) for k in ("accuracy", "low", "high", "seconds"))
        return Estimated(accuracy, low, high, bool(said["alarm"]), seconds)

    def _ask(self, task: dict[str, object]) -> Sequence[dict[str, object]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:  # whatever else the peer prints is not for us
            if line.startswith("\x1e"):
                answer: list[dict[str, object]] = json.loads(line[1:])
                return answer
        raise Unavailable(f"{self.name} ended by itself (exit code {self.process.wait()})")

    def _judgement(self, said: dict[str, object]) -> Judgement:
        if "error" in said:
            self.errors.append(str(said["error"]))
            return Judgement(False, why=str(said["error"]), verdict="error")
        ranking = said["ranking"]
        assert isinstance(ranking, list)
        verdict = "any" if said["any"] else "none"
        return Judgement(bool(said["alarm"]), tuple(ranking), float(str(said["seconds"])), verdict=verdict)

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _write(frame: pd.DataFrame, path: Path) -> None:
    plain = {
        n: frame[n].to_numpy(np.float64) if frame[n].dtype.kind in "fi" else frame[n] for n in frame.columns
    }
    pd.DataFrame(plain).to_parquet(path)
