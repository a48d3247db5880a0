"""What the bot remembers: one SQLite file, one `Store` with verbs, frozen records.

Imports `trainers` and `detectors` for their types, and nothing of `bot`. `records` are the types, `store` the index of
the verbs, each of which is one transaction and lives in the module of its subject:

- `batches`, `inboxes`, `rollup`: checks. `incidents`, `feedback`, `notices`: what was alerted, and what people said.
- `retrains`, `expectations`, `versions`, `promotions`, `shadows`, `loose_ends`: from approval to champion and back.
- `samples`: rows handed out to be labelled. `outbox`, `posts`: what is to be said in Slack, and where it stands.
- `tracking`: what MLflow is to be told. `journal`: what is only ever added: audit log, evaluations, counters.

`database`, `codec`, `migrations` are the SQLite beneath; `lock` says who owns the file, `process` who holds some work.
Importing this package is cheap: `driftcatcher status` answers without NumPy, pandas or MLflow.
"""
