"""DriftCatcher's outside: everything that meets people, files and the clock, and the use cases.

The map of the house, from the edge inwards (imports run in this order only):

- `cli` (with `cli_versions`, `cli_parts`), `demo`: what a person starts. `processor`: what NumPy is told before it is
  loaded. `bootstrap`: puts the concrete parts together.
- `slack`: what people see and press. `scheduler`: when scans run. `worker`: the training process.
- `monitoring`, `retraining`, `evaluating`, `status`, `labelling`, `quarantine`, `feedback`, `tuning`, `drilling`,
  `sampling`, `expecting`: the use cases. `creep`, `estimates`, `backtest`: what they look up in the past. `samples`,
  `sampled`: rows that come back labelled, and what they say of a model. `shadowing`: what a challenger says of the
  next batches.
- `tracking`: what MLflow is told of checks, afterwards.
- `lineage`: where a version comes from, and what became of it. `serving`: who is handed the champion.
- `text_report`, `sentences`, `…_text`, `progress`: words.
- `listing`, `inbox`, `jobs`: what lies there, what of it is finished and new; a training as plain JSON. `identity`: a
  file's digest ahead of time. `isolation`: detectors of others in a process (`detector_child`).
- `engine`: where a batch is counted and a forest grows, here or on a Dask cluster.
- `alerting`, `authorization`: pure rules. `config`, `template`, `plugins`, `trainer_options`, `times`: settings and
  what they name.
- `workspace`: an embedded Slack for the demo and the tests; it knows nothing of the product.

Below lie `state` (what is remembered), `trainers` (how a model is made) and `detectors` (what is measured).
"""
