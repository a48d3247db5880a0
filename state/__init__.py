"""What the bot remembers: one SQLite file, one `Store` with verbs, frozen records.

`records` are the types, `store` the verbs (each is one transaction), `lock` says who owns the file.
Importing this package is cheap: `driftcatcher status` answers without numpy, pandas or MLflow.
"""
