"""Beyond one machine: the parts of a batch are summarized, and joblib's jobs done, on the workers of a Dask cluster.

Everything that can fail is a DataError of the kind "engine", no fault of the batch: the next scan tries again.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from detectors.errors import DataError
from detectors.parts import Part
from trainers.base import Trainer, TrainingError
from trainers.fitting import fit_grouped

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from distributed import Client, Future

    from detectors.chunks import Advance

_CONNECT = 5.0  # seconds in which a scheduler answers, or is taken for gone
_LOOK = 5.0  # seconds between two looks whether there still are workers
_PATIENCE = 30.0  # seconds for which there may be none
_FITS = 3  # times that a training begins, where workers die

log = logging.getLogger(__name__)


class WorkerLost(Exception):
    """A worker died while joblib used it: what it was at has to begin anew."""


class DaskEngine:
    """A `detectors.parts.Engine` on a Dask scheduler; it connects when it is first used, once in the process."""

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler
        self._client: Client | None = None
        self._connecting = threading.Lock()

    def __call__(
        self,
        work: Callable[[Any, Part, Advance | None], Any],
        shared: Any,
        parts: Sequence[Part],
        progress: Advance | None,
        /,
    ) -> Iterator[Any]:
        """The results in the order of the parts, whichever worker has them first."""
        client = self.client()
        with self._explained("while the batch was counted"):
            self._require_able(client, parts)
            # A task, not scattered data: what a worker takes with it when it dies can be made again.
            held = client.submit(bytes, pickle.dumps(shared), pure=False)
            task = _task()
            waiting = deque(
                client.submit(task, pickle.dumps((work, part)), held, pure=False) for part in parts
            )
            done, whole = 0, sum(part.size for part in parts)
            for part in parts:
                try:
                    result = self._result(client, waiting.popleft())
                except DataError as error:
                    if error.kind != "engine":  # is it the file, or a worker that has come since?
                        self._require_able(client, parts)
                    raise
                done += part.size
                if progress is not None:
                    progress(done, whole)
                yield result

    @contextmanager
    def joblib(self) -> Iterator[None]:
        """What joblib does in this context, it does on the workers."""
        import joblib

        client = self.client()
        with self._explained("while joblib worked on it"):
            self._require_able(client, ())
            with self._ended_with_a_worker(client), joblib.parallel_backend("dask", client=client):
                yield

    @contextmanager
    def _ended_with_a_worker(self, client: Client) -> Iterator[None]:
        """joblib waits for ever for what a worker has taken with it when it died: end that, and say so."""
        there, over, lost = set(client.nthreads()), threading.Event(), threading.Event()

        def watch() -> None:
            with suppress(OSError):  # the scheduler is gone: joblib hears of that by itself
                while not over.wait(_LOOK):
                    if there - set(client.nthreads()):
                        lost.set()
                        client.close(timeout=_CONNECT)
                        return

        watcher = threading.Thread(target=watch, name="workers", daemon=True)
        watcher.start()
        try:
            yield
        except Exception as error:
            if lost.is_set():
                raise WorkerLost(
                    f"a worker of the Dask scheduler {self.scheduler} died at a training"
                ) from error
            raise
        finally:
            over.set()
            watcher.join()

    def client(self) -> Client:
        """The connection, made anew where it was lost."""
        from distributed import Client

        with self._connecting:
            if self._client is not None and self._client.status == "running":
                return self._client
            self._leave()
            logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it meets, our own errors say
            try:
                self._client = Client(
                    self.scheduler, timeout=_CONNECT, set_as_default=False, name="driftcatcher"
                )
            except Exception as error:
                raise self._failure(
                    f"cannot be reached: start it, or correct the address ({error})"
                ) from error
            return self._client

    def close(self) -> None:
        """Leave the cluster; what runs there for others goes on."""
        with self._connecting:
            self._leave()

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close(timeout=_CONNECT)
            self._client = None

    def _result(self, client: Client, future: Future) -> Any:
        """A future's result, unless there is nobody left who could work on it."""
        workers_seen = time.monotonic()
        while not future.done():
            try:
                future.exception(timeout=_LOOK)  # waits, and leaves the result where it is
            except TimeoutError:
                if client.nthreads():
                    workers_seen = time.monotonic()
                elif time.monotonic() - workers_seen > _PATIENCE:
                    raise self._failure("has lost all its workers: start some") from None
        return future.result()

    def _require_able(self, client: Client, parts: Sequence[Part]) -> None:
        """DataError names the workers that lack the package or a part, and what to do, before they are asked."""
        seen = client.run(_sees, [(str(part.path), part.size) for part in parts], on_error="return")
        if not seen:
            raise self._failure(f"has no worker: start one with `dask worker {self.scheduler}`")
        unable = [
            f"worker {worker} {problem}" for worker, said in seen.items() if (problem := _problem(said))
        ]
        if unable:
            more = f"; and {len(unable) - 3} more" if len(unable) > 3 else ""
            raise self._failure(f"cannot do it: {'; '.join(unable[:3])}{more}")

    @contextmanager
    def _explained(self, when: str) -> Iterator[None]:
        """Whatever a cluster does when it breaks, as one error with one remedy."""
        from distributed.scheduler import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise self._failure(
                f"gave up {when}: several workers died of it, perhaps for want of memory ({error})"
            ) from error
        except (CancelledError, OSError) as error:
            raise self._failure(f"was lost {when} ({type(error).__name__}: {error})") from error
        except (ImportError, RuntimeError) as error:
            if not isinstance(error, ImportError) and "deserialization" not in str(error):
                raise
            raise self._failure(
                f"cannot do it: it or a worker of it has other packages than this machine ({error})"
            ) from error

    def _failure(self, what: str) -> DataError:
        return DataError(
            "engine", f"the Dask scheduler {self.scheduler} {what}. Nothing is lost: try again then"
        )


@dataclass(frozen=True)
class OnCluster:
    """A trainer whose joblib jobs run on the workers; the model is the same."""

    trainer: Trainer
    scheduler: str

    @property
    def name(self) -> str:
        return self.trainer.name

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self.trainer, "notes", ()))

    @property
    def trusted(self) -> tuple[str, ...]:
        return tuple(getattr(self.trainer, "trusted", ()))

    def params(self) -> Mapping[str, Any]:
        """Those of the trainer: where it ran makes no difference."""
        return self.trainer.params()

    def fit(
        self,
        features: pd.DataFrame,
        labels: np.ndarray,
        categorical: tuple[str, ...],
        groups: np.ndarray | None = None,
    ) -> Any:
        """A fitted estimator; see `trainers.base.Trainer.fit`."""
        for _ in range(_FITS):
            engine = DaskEngine(self.scheduler)
            try:
                with engine.joblib():
                    return fit_grouped(self.trainer, features, labels, categorical, groups)
            except WorkerLost as error:
                log.warning("%s: it begins anew", error)
            except DataError as error:
                raise TrainingError(error.message) from error
            finally:
                engine.close()
        raise TrainingError(
            f"the workers of {self.scheduler} died {_FITS} times at this training: are they too small?"
        )


def on_cluster(trainer: Trainer, scheduler: str) -> Trainer:
    """The trainer, on the cluster if there is one (`scheduler` is not empty) and it says that it uses joblib."""
    return OnCluster(trainer, scheduler) if scheduler and getattr(trainer, "uses_joblib", False) else trainer


def _task() -> Callable[[bytes, bytes], Any]:
    """What a worker runs. All of it travels as bytes, so that the scheduler needs no package of ours."""

    def task(job: bytes, shared: bytes) -> Any:  # within a function: it is sent by value, not by name
        import pickle

        work, part = pickle.loads(job)  # noqa: S301  what the client sends
        return work(pickle.loads(shared), part, None)  # noqa: S301

    return task


def _version() -> str:
    try:
        return metadata.version("driftcatcher")
    except metadata.PackageNotFoundError:  # run from its sources
        return ""


def _sees(parts: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """On a worker: the version of the package there, and the first part that is not what the client sees."""
    from pathlib import Path

    for path, size in parts:
        try:
            with Path(path).open("rb") as file:
                there = file.seek(0, 2)
        except OSError as error:
            return (
                _version(),
                f"cannot read {path} ({error.strerror}): give it that folder under the same path",
            )
        if there != size:
            return (
                _version(),
                f"sees {path} with {there:,} bytes instead of {size:,}: is its copy another one?",
            )
    return _version(), ""


def _problem(said: tuple[str, str] | Exception) -> str:
    """What keeps a worker from the work, and what to do; empty where nothing does."""
    ours = _version()
    if isinstance(said, OSError):
        return ""  # it is just going: its work goes to others
    if isinstance(said, Exception):  # an ImportError comes as text in a plain Exception
        return f"cannot load driftcatcher ({said}): install driftcatcher {ours} in its environment"
    version, problem = said
    if version and ours and version != ours:
        return f"has driftcatcher {version}, this is {ours}: install the same version in its environment"
    return problem
