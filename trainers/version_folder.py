"""The files that belong to a model version outside the registry: home/models/<model>/v<version>/.

Where baselines have a place of their own, checks read the one that is kept there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.errors import DataError
from detectors.location import Location, write_whole
from trainers.base import TrainingError
from trainers.model_file import save

if TYPE_CHECKING:
    from detectors.baseline import Baseline

BASELINE_FILE = "baseline.npz"
CARD_FILE = "model_card.md"
MODEL_FILE = "model.skops"  # a copy: checks ask the model, and must not need the registry for it


def forget(home: Path, model: str, version: int, baselines: Location | None = None) -> None:
    """Remove the files of a version that was taken back after its training had died."""
    models = Path(home).absolute() / "models" / model
    kept = None if baselines is None else baselines / model / f"v{version}" / BASELINE_FILE
    for folder in (models / f"v{version}", *models.glob(f".v{version}-*")):
        with suppress(OSError, DataError):  # nothing refers to it any more
            if kept is not None and kept.read_bytes() == (folder / BASELINE_FILE).read_bytes():
                kept.unlink()  # ours, and not what lay there before
        shutil.rmtree(folder, ignore_errors=True)


class VersionFolder:
    """Writes baseline and model once the version's number is known; the folder is there whole or not at all.

    `papers` gives texts to lie beside them, by file name: what is worth reading about that version.
    """

    def __init__(
        self,
        home: Path,
        model: str,
        baseline: Baseline,
        estimator: Any,
        baselines: Location | None = None,
        papers: Callable[[int], Mapping[str, str]] | None = None,
    ) -> None:
        self._models = Path(home).absolute() / "models" / model
        self._baseline = baseline
        self._estimator = estimator
        self._papers = papers
        self._elsewhere = None if baselines is None else baselines / model
        self._kept: Location | None = None
        self._made: Path | None = None

    @property
    def baseline_file(self) -> Location:
        """Where checks find the baseline.

        Raises:
            TrainingError: the registry gave the version no number.
        """
        return self._kept or self._folder / BASELINE_FILE

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
        """Store them under the version; the paths of what the registry has not got: baseline and papers.

        Raises:
            TrainingError: the folder of that version is there already, or the baseline cannot be kept elsewhere.
        """
        folder = self._models / f"v{version}"
        self._models.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".v{version}-", dir=self._models))
        try:
            self._baseline.with_version(str(version)).save(staging / BASELINE_FILE)
            save(self._estimator, staging / MODEL_FILE)
            papers = {} if self._papers is None else self._papers(version)
            for name, text in papers.items():
                (staging / name).write_text(text, encoding="utf-8")
            if folder.exists():
                raise TrainingError(
                    f"{folder} is there, but the registry has given version {version} anew "
                    "(was its store removed?): move that folder away and try again"
                )
            self._kept = self._keep(version, staging / BASELINE_FILE)
            staging.replace(folder)  # in one step: there is no half folder, whenever the power goes
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            self._forget()
            raise
        self._made = folder
        return (folder / BASELINE_FILE, *(folder / name for name in papers))

    def _keep(self, version: int, file: Path) -> Location | None:
        """Put the baseline where baselines have a place of their own; nothing there is overwritten."""
        if self._elsewhere is None:
            return None
        target = self._elsewhere / f"v{version}" / BASELINE_FILE
        try:
            if target.exists():
                raise TrainingError(
                    f"{target} is there, but the registry has given version {version} anew "
                    "(was its store removed?): move that file away and try again"
                )
            if isinstance(target, Path):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, file.read_bytes())
        except (OSError, DataError) as error:
            raise TrainingError(f"the baseline cannot be kept at {target}: {error}") from error
        return target

    def _forget(self) -> None:
        if self._kept is not None:
            with suppress(OSError, DataError):  # nothing refers to it
                self._kept.unlink()
            self._kept = None

    def remove(self) -> None:
        """Take back what `write` did."""
        self._forget()
        if self._made is not None:
            shutil.rmtree(self._made)
            self._made = None
