from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from trainers.base import TrainingError
from trainers.model_file import folder_digest, load, needed_types
from trainers.sklearn_trainers import HistGradientBoosting, LogisticRegression, RandomForest


@pytest.mark.parametrize(
    "trainer", [HistGradientBoosting(max_iter=5), RandomForest(n_estimators=5), LogisticRegression()]
)
def test_a_model_comes_back_as_it_was(trainer, tmp_path):
    features = pd.DataFrame({"a": np.linspace(-1, 1, 100), "c": pd.Series(["x", "y"] * 50, dtype="str")})
    model = trainer.fit(features, (features["a"] > 0).to_numpy(dtype="int64"), ("c",))
    assert needed_types(model)
    skops.io.dump(model, tmp_path / "model.skops")
    back = load(tmp_path / "model.skops")
    assert (back.predict_proba(features) == model.predict_proba(features)).all()


def test_a_file_with_a_function_that_nobody_trusts_is_refused(tmp_path):
    skops.io.dump(FunctionTransformer(pickle.loads), tmp_path / "model.skops")
    with pytest.raises(TrainingError, match=r"model.skops holds types that are not trusted: .*pickle.loads"):
        load(tmp_path / "model.skops")


def test_a_model_of_unknown_types_is_not_stored():
    with pytest.raises(
        TrainingError, match=r"types that are not trusted: .*pickle.loads; use parts of scikit-learn"
    ):
        needed_types(FunctionTransformer(pickle.loads))


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(TrainingError, match=r"the model file model.skops cannot be read"):
        load(tmp_path / "model.skops")


def test_the_digest_sees_contents_names_and_additions_but_not_what_mlflow_adds(tmp_path):
    (tmp_path / "model.skops").write_bytes(b"abc")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "MLmodel").write_text("x")
    digests = [folder_digest(tmp_path)]
    (tmp_path / "registered_model_meta").write_text("added on download")
    assert folder_digest(tmp_path) == digests[0]
    (tmp_path / "model.skops").write_bytes(b"abd")
    digests.append(folder_digest(tmp_path))
    (tmp_path / "sub" / "MLmodel").rename(tmp_path / "MLmodel")
    digests.append(folder_digest(tmp_path))
    (tmp_path / "more").write_text("")
    digests.append(folder_digest(tmp_path))
    assert len(set(digests)) == 4
