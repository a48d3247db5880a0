"""Training and judging models: data with fixed hold-outs, trainers, the registry, the gate.

Imports `detectors` and nothing of the other packages. The map of the house, from the files to a champion:

- `dataset`, `schema`, `labels`, `fingerprint`: labelled files as training rows and hold-outs that never mix.
- `ledger`: which rows were there before or contradict another. `mixing`: which old and new rows a model is fitted on.
- `base`: what a trainer and a registry are. `sklearn_trainers`: the built-in ones, `estimators`: any other of
  scikit-learn, `calibration` and `search`: what goes around any, by `folds`. `fitting`: one fit of any of them.
  `checks`: their contract suite.
- `pipeline`: from files to a registered version, judged on the same hold-outs. `promotion`: the gate, which recommends.
- `judgement`, `matrix_plot`: both models on every era's hold-out, `clusters`: where rows come in groups.
- `expectation`: what a retrain would bring, before it.
- `sampling`: which rows of a batch to label, drawn with known chances.
- `tracking`: checks and evaluations in MLflow, as steps and runs.
- `mlflow_registry`, `mlflow_leftovers`, `mlflow_ui`, `model_file`, `signature`, `model_card`, `version_folder`,
  `code_version`: where a version is kept, and of what.
- `lineage`, `provenance`, `dvc`: where a version comes from. `reproduce`: the same version once more.
- `scoring`: a version as the bot asks it.
"""
