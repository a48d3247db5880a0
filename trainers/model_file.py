"""Models as skops files: read without running any code but that of types we trust by name.

A pickle runs whatever its writer liked. skops names every type in the file, and refuses those that neither it
nor this list knows; the list is ours, never the file's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainers.base import TrainingError

# Plain containers of numbers, and functions without side effects.
TRUSTED = (
    "functools.partial",  # skops holds the function inside against the list as well
    "numpy.clip",
    "numpy.dtype",
    "numpy.nan_to_num",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
_WRITTEN_ON_DOWNLOAD = frozenset({"registered_model_meta"})  # by MLflow, after the model was logged


def needed_types(estimator: Any, trusted: Iterable[str] = TRUSTED) -> list[str]:
    """The types of the estimator that have to be trusted by name.

    Raises:
        TrainingError: it cannot be stored, or one of its types is not in `trusted`.
    """
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        found = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    except (UnsupportedTypeException, TypeError, AttributeError, ValueError) as error:
        raise TrainingError(
            f"the fitted {type(estimator).__name__} cannot be stored in the skops format ({error}): "
            "build it from classes and functions of importable modules, without lambdas"
        ) from error
    if refused := sorted(set(found) - set(trusted)):
        listed = ", ".join(f'"{name}"' for name in refused)
        raise TrainingError(
            f"the fitted {type(estimator).__name__} holds types that are not trusted: {', '.join(refused)}; "
            "use parts of scikit-learn, or, if you know them to be safe, write under [models.trainer]: "
            f"trusted = [{listed}]"
        )
    return list(found)


def save(estimator: Any, file: Path) -> None:
    """Write an estimator; the registry has asked `needed_types` before."""
    import skops.io

    skops.io.dump(estimator, file)


def load(file: Path, trusted: Iterable[str] = TRUSTED) -> Any:
    """The estimator in a skops file.

    Raises:
        TrainingError: the file holds a type that is not in `trusted`, or is damaged.
    """
    import zipfile

    import skops.io

    try:
        found = skops.io.get_untrusted_types(file=file)
        if refused := sorted(set(found) - set(trusted)):
            raise TrainingError(f"{file.name} holds types that are not trusted: {', '.join(refused)}")
        return skops.io.load(file, trusted=found)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise TrainingError(f"the model file {file.name} cannot be read: {error}") from error


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files of a logged model."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.name not in _WRITTEN_ON_DOWNLOAD:
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()
            digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
