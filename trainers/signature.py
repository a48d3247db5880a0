"""What MLflow's generic loader (pyfunc) may be given: the columns of a model, as batches have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def signature(example: pd.DataFrame, estimator: Any) -> Any:
    """The model's columns, texts as strings, and its output as inferred.

    Numbers are declared as "any": as "double" pyfunc refuses a column that a CSV reader made integers of, since it
    happens to hold whole numbers alone in this batch. What is no number, the model itself refuses. (Pyfunc looks at
    such cells one by one, which costs about 1 µs a cell; `mlflow.sklearn.load_model` does not look.)
    """
    import pandas as pd
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    inferred = infer_signature(example, estimator.predict(example))
    anything: Any = AnyType
    columns: list[Any] = [
        ColSpec(anything() if pd.api.types.is_numeric_dtype(example[name].dtype) else "string", name)
        for name in example.columns
    ]
    return ModelSignature(Schema(columns), inferred.outputs)
