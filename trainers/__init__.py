"""Training and judging models: data with fixed hold-outs, trainers, the registry, the gate.

Imports `detectors` and nothing of the other packages. The map of the house, from the files to a champion:

- `dataset`, `schema`, `labels`, `fingerprint`: labelled files as training rows and hold-outs that never mix.
- `base`: what a trainer and a registry are. `sklearn_trainers`: the built-in ones, `estimators`: any other of
  scikit-learn, `calibration` and `search`: what goes around any. `checks`: their contract suite.
- `pipeline`: from files to a registered version, judged on the same hold-outs. `promotion`: the gate, which recommends.
- `mlflow_registry`, `mlflow_leftovers`, `mlflow_ui`, `model_file`, `version_folder`, `code_version`: where a version is
  kept, and of what.
- `scoring`: a version as the bot asks it.
"""
