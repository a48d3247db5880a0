"""Models and runs in MLflow: one experiment and one registered model for each model of the configuration."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.location import location
from trainers.base import DataFile, LoggedVersion, ModelVersion, TrainingError
from trainers.mlflow_leftovers import JOB, end_runs
from trainers.model_file import TRUSTED, folder_digest, load, needed_types
from trainers.signature import signature
from trainers.version_folder import CARD_FILE

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

_MODEL_FILE = "model.skops"
_MODEL_URI = "models:/"
_CREDENTIALS = re.compile(r"//[^/@]*@")
_BATCH = 100  # params and tags that MLflow takes at once
_METRICS = 900  # of one call; MLflow takes 1,000
_LONGEST = 5000  # characters of a param or tag
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # an alias that is not set gives either


class MlflowRegistry:
    """The `ModelRegistry` on an MLflow store: SQLite and files under `home`, or any tracking server.

    Everything goes through a client of its own, so the global tracking URI of MLflow is left alone.

    Parameters:
        home: folder of the project; the default store is `home/mlflow.db` with files in `home/mlartifacts`.
        tracking_uri: another store ("http://mlflow:5000", "sqlite:////var/mlflow.db").
        ui_url: where people open MLflow in a browser, for links; the tracking server by default.
        trusted: further types that a model file may hold, see `trainers.model_file`.
    """

    def __init__(
        self,
        home: Path,
        tracking_uri: str | None = None,
        ui_url: str | None = None,
        trusted: tuple[str, ...] = (),
    ) -> None:
        self._home = Path(home).absolute()
        self.tracking_uri = tracking_uri or f"sqlite:///{self._home / 'mlflow.db'}"
        self._served = self.tracking_uri.startswith(("http://", "https://"))
        self._name = _CREDENTIALS.sub("//", self.tracking_uri)  # for messages and links
        self._ui = (ui_url or (self._name if self._served else "")).rstrip("/")
        self._trusted = (*TRUSTED, *trusted)
        self._made: MlflowClient | None = None
        self._lock = threading.Lock()

    def log_version(
        self,
        model: str,
        estimator: Any,
        *,
        example: pd.DataFrame,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        data: tuple[DataFile, ...],
        artifacts: Callable[[int], tuple[Path, ...]],
        run_name: str,
        alias: str,
    ) -> LoggedVersion:
        """Log a run with the model, register it, set the alias; see `trainers.base.ModelRegistry`."""
        needed = needed_types(estimator, self._trusted)
        with self._speaking():
            from mlflow.exceptions import MlflowException

            client = self._client()
            experiment = self._experiment(client, model)
            run_id = _start_run(client, experiment, run_name, tags)
            with _all_or_nothing(client, run_id, model) as undo:
                _log_params(client, run_id, params)
                client.log_inputs(run_id, [dataset_input(file) for file in data])
                model_id, digest = _log_model(client, experiment, run_id, estimator, example, needed)
                undo.model_id = model_id
                _log_metrics(client, run_id, metrics, model_id)
                undo.created_model = _register_name(client, model)
                # The location, not "models:/id": for that MLflow would ask whatever store is its global one.
                source = client.get_logged_model(model_id).artifact_location
                made = client.create_model_version(
                    model, source, run_id, tags=_texts(tags), model_id=model_id
                )
                undo.version = version = int(made.version)
                for path in artifacts(version):
                    client.log_artifact(run_id, str(path))
                    if path.name == CARD_FILE:  # what the registry shows of the version
                        client.update_model_version(model, str(version), short(path.read_text("utf-8")))
                client.set_terminated(run_id, "FINISHED")
                client.set_registered_model_alias(model, alias, str(version))
            if self._served and (job := tags.get(JOB)):
                # MLflow asks again when an answer is lost: then there is a second run or version.
                with contextlib.suppress(MlflowException):
                    end_runs(client, experiment, model, job, but_run=run_id, known=(version,))
        url = self.run_url(experiment, run_id)
        return LoggedVersion(version, run_id, url, _MODEL_URI + model_id, digest)

    def load(self, version: ModelVersion) -> Any:
        """The estimator of a version.

        Raises:
            TrainingError: its files are gone or not those that were registered.
        """
        with self._speaking(), tempfile.TemporaryDirectory() as folder:
            client = self._client()
            from mlflow.artifacts import download_artifacts

            name = f"{version.model} version {version.version}"
            # "models:/id" itself would be looked up in whatever store is MLflow's global one.
            location = client.get_logged_model(version.model_uri.removeprefix(_MODEL_URI)).artifact_location
            # A copy is compared and loaded, so that nobody can change the file in between.
            copy = Path(download_artifacts(location, dst_path=folder, tracking_uri=self.tracking_uri))
            if folder_digest(copy) != version.artifact_sha256:
                raise TrainingError(
                    f"the files of {name} ({version.model_uri}) are not those that were registered: "
                    "restore them from a backup, or roll back to another version"
                )
            return load(copy / _MODEL_FILE, (*self._trusted, *version.trusted))

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point the alias at the version."""
        with self._speaking():
            self._client().set_registered_model_alias(model, alias, str(version))

    def alias(self, model: str, alias: str) -> int | None:
        """The version the alias points at, None where it is not set."""
        with self._speaking():
            client = self._client()
            from mlflow.exceptions import MlflowException

            try:
                return int(client.get_model_version_by_alias(model, alias).version)
            except MlflowException as error:
                if error.error_code in _ABSENT:
                    return None
                raise

    def drop_alias(self, model: str, alias: str) -> None:
        """Let the alias point nowhere; nothing happens where it is not set."""
        with self._speaking():
            self._client().delete_registered_model_alias(model, alias)

    def clear(self, model: str, job: str, known: Collection[int]) -> tuple[int, ...]:
        """End what a training that came to nothing left behind; see `trainers.base.ModelRegistry`."""
        with self._speaking():
            client = self._client()
            return end_runs(client, self._experiment(client, model), model, job, known=known)

    def log_metrics_run(
        self,
        model: str,
        run_name: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str:
        """Log metrics without a model; returns the run's URL, empty where no address of a server is known."""
        with self._speaking():
            client = self._client()
            experiment = self._experiment(client, model)
            run_id = _start_run(client, experiment, run_name, tags)
            with _all_or_nothing(client, run_id, model):
                _log_params(client, run_id, params)
                _log_metrics(client, run_id, metrics, None)
                client.set_terminated(run_id, "FINISHED")
        return self.run_url(experiment, run_id)

    @contextlib.contextmanager
    def session(self, model: str) -> Iterator[tuple[MlflowClient, str]]:
        """The client and the model's experiment; what goes wrong inside is a TrainingError."""
        with self._speaking():
            client = self._client()
            yield client, self._experiment(client, model)

    def run_url(self, experiment: str, run_id: str) -> str:
        """Where people see a run; empty where no address of a server is known."""
        return f"{self._ui}/#/experiments/{experiment}/runs/{run_id}" if self._ui else ""

    def _client(self) -> MlflowClient:
        with self._lock:
            if self._made is None:
                mlflow = _import_mlflow()
                with self._first_use():
                    self._make_tables(mlflow)
                    client = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)
                    client.search_experiments(max_results=1)
                self._made = client
            return self._made

    @contextlib.contextmanager
    def _first_use(self) -> Iterator[None]:
        """The first use of a database makes or migrates its tables; two at once ruin SQLite for good."""
        if self._served:
            yield
            return
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_tables(self, mlflow: Any) -> None:
        """The default store is made beside its place: one that was cut off half made would stay broken for good."""
        place = self._home / "mlflow.db"
        if self.tracking_uri != f"sqlite:///{place}" or place.exists():
            return
        half = self._home / "mlflow.db.new"
        for left in self._home.glob(f"{half.name}*"):
            left.unlink()
        mlflow.MlflowClient(f"sqlite:///{half}", f"sqlite:///{half}").search_experiments(max_results=1)
        half.replace(place)

    def _experiment(self, client: MlflowClient, model: str) -> str:
        from mlflow.exceptions import MlflowException

        name = f"driftcatcher/{model}"
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                # A server knows where files go; else MLflow takes the folder the process happens to be in.
                location = None if self._served else (self._home / "mlartifacts").as_uri()
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(name)  # another process was first
        if found is None:
            raise TrainingError(f"the MLflow experiment {name} cannot be found or made in {self._name}")
        if found.lifecycle_stage == "deleted":  # its name stays taken, so nothing could ever be logged again
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """MLflow's errors, and those of its disk, as ours."""
        _import_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            what = _CREDENTIALS.sub("//", first)
            raise TrainingError(f"MLflow ({self._name}) refused or failed: {what}") from error


class _Undo:
    """What there is to take back so far."""

    model_id: str | None = None
    version: int | None = None
    created_model: bool = False


@contextlib.contextmanager
def _all_or_nothing(client: MlflowClient, run_id: str, model: str) -> Iterator[_Undo]:
    """On any error: the version is deleted, and run and model are marked as failed."""
    from mlflow.exceptions import MlflowException

    undo = _Undo()
    try:
        yield undo
    except BaseException:
        # What cannot be taken back (the server is gone) must not hide why it has to be.
        with contextlib.suppress(MlflowException, OSError):
            if undo.version is not None:
                client.delete_model_version(model, str(undo.version))
            # another training may have registered a version of it meanwhile
            if undo.created_model and not client.search_model_versions(f"name = '{model}'", max_results=1):
                client.delete_registered_model(model)
            if undo.model_id is not None:
                client.finalize_logged_model(undo.model_id, "FAILED")
            client.set_terminated(run_id, "FAILED")
        raise


def _import_mlflow() -> Any:
    """MLflow without telemetry and without talk on stdout; imported when needed, since that takes seconds."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # MLflow's own 7 tries keep a click or a command waiting for four minutes when the server is down.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def _start_run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    source = {"mlflow.source.name": "driftcatcher", "mlflow.source.type": "LOCAL"}
    return str(client.create_run(experiment, run_name=name, tags={**source, **_texts(tags)}).info.run_id)


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    logged = [Param(key, short(value)) for key, value in params.items()]
    for start in range(0, len(logged), _BATCH):
        client.log_batch(run_id, params=logged[start : start + _BATCH])


def _log_model(
    client: MlflowClient,
    experiment: str,
    run_id: str,
    estimator: Any,
    example: pd.DataFrame,
    needed: list[str],
) -> tuple[str, str]:
    """Upload the model as a skops file; its id and the digest of its files."""
    import mlflow.sklearn
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(
        experiment, name="model", source_run_id=run_id, model_type="classifier"
    )
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        mlflow.sklearn.save_model(
            estimator,
            str(path),
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
                run_id=run_id,
            ),
            serialization_format="skops",
            skops_trusted_types=needed,
            signature=signature(example, estimator),
            input_example=example,
            pip_requirements=_requirements(),
        )
        client.log_model_artifacts(logged.model_id, str(path))
        digest = folder_digest(path)
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id), digest


def _requirements() -> list[str]:
    """What loading the model takes, at the versions it was made with."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "pandas", "scikit-learn", "skops")]


def _register_name(client: MlflowClient, model: str) -> bool:
    """Make the registered model; False where it was there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def dataset_input(file: DataFile, context: str = "training") -> Any:
    """A file as the input of a run, with its digest and rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    path = location(file.path)
    # MLflow's own digest looks at the first 10,000 rows; a digest has at most 36 characters.
    dataset = Dataset(
        name=path.name,
        digest=file.sha256[:36],
        source_type="local" if isinstance(path, Path) else path.scheme,
        source=json.dumps({"uri": path.as_uri()}),
        profile=json.dumps({"num_rows": file.rows, "sha256": file.sha256}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def _log_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], model_id: str | None
) -> None:
    """All of them: a model of many classes has more than one call may hold."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    found = [
        Metric(key, float(value), now, 0, model_id=model_id)
        for key, value in metrics.items()
        if math.isfinite(value)
    ]
    for first in range(0, len(found), _METRICS):
        client.log_batch(run_id, metrics=found[first : first + _METRICS])


def _texts(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: short(value) for key, value in tags.items()}


def short(value: Any) -> str:
    """A text that MLflow takes as a param or tag."""
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
