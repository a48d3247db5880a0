"""The files that belong to a model version outside the registry: home/models/<model>/v<version>/."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.base import TrainingError
from trainers.model_file import save

if TYPE_CHECKING:
    from detectors.baseline import Baseline

BASELINE_FILE = "baseline.npz"
MODEL_FILE = "model.skops"  # a copy: checks ask the model, and must not need the registry for it


class VersionFolder:
    """Writes baseline and model once the version's number is known; the folder is there whole or not at all."""

    def __init__(self, home: Path, model: str, baseline: Baseline, estimator: Any) -> None:
        self._models = Path(home).absolute() / "models" / model
        self._baseline = baseline
        self._estimator = estimator
        self._made: Path | None = None

    @property
    def baseline_file(self) -> Path:
        """Where the baseline was written.

        Raises:
            TrainingError: the registry gave the version no number.
        """
        return self._folder / BASELINE_FILE

    @property
    def model_file(self) -> Path:
        """Where the copy of the model was written; raises as `baseline_file` does."""
        return self._folder / MODEL_FILE

    @property
    def _folder(self) -> Path:
        if self._made is None:
            raise TrainingError(
                "the registry did not ask for the baseline of the new version, so it has none"
            )
        return self._made

    def write(self, version: int) -> tuple[Path, ...]:
        """Store both under the version; the paths of what the registry has not got: the baseline.

        Raises:
            TrainingError: the folder of that version is there already.
        """
        folder = self._models / f"v{version}"
        self._models.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".v{version}-", dir=self._models))
        try:
            self._baseline.with_version(str(version)).save(staging / BASELINE_FILE)
            save(self._estimator, staging / MODEL_FILE)
            if folder.exists():
                raise TrainingError(
                    f"{folder} is there, but the registry has given version {version} anew "
                    "(was its store removed?): move that folder away and try again"
                )
            staging.replace(folder)  # in one step: there is no half folder, whenever the power goes
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        self._made = folder
        return (self.baseline_file,)

    def remove(self) -> None:
        """Take back what `write` did."""
        if self._made is not None:
            shutil.rmtree(self._made)
            self._made = None
