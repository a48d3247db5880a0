"""What the bot remembers: one SQLite file, one `Store` with verbs, frozen records.

Imports `trainers` and `detectors` for their types, and nothing of `bot`. `records` are the types, `store` the index of
the verbs (each is one transaction, and lives in the module of its subject: `batches`, `inboxes`, `rollup`, `incidents`,
`retrains`, `shadows`, `samples`, `tracking`, …). `database`, `codec`, `migrations` are the SQLite beneath; `lock`
says who owns the file, `process` who holds a piece of work. Importing this package is cheap: `driftcatcher status`
answers without NumPy, pandas or MLflow.
"""
