"""Verbs on samples: rows that were given out to be labelled, so that what comes back can be held against them."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from sqlite3 import Row

from state.codec import moment, stamp, to_json
from state.database import Database, of_model
from state.journal import note
from state.records import Sample


class Samples:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def keep_sample(self, sample: Sample, file: bytes) -> Sample:
        """Keep a draw with its file and a line in the audit log; one that is known stays as it was, and is returned."""
        with self._db.write():
            if (known := self._row(sample.name)) is not None:
                return _sample(known)
            record = to_json({**asdict(sample), "arms": dict(sample.arms), "at": stamp(sample.at)})
            row = {"name": sample.name, "model": sample.model, "at": stamp(sample.at), "record": record}
            self._db.insert("samples", {**row, "file": zlib.compress(file, 9)})
            why = f"{sample.rows} rows of {sample.batch_path}, {sample.strategy}"
            note(self._db, sample.by, "sample", sample.model, f"sample {sample.name}", why, sample.at)
            return sample

    def sample(self, name: str) -> Sample | None:
        """One draw, None if there is none of that name."""
        with self._db.read():
            row = self._row(name)
        return None if row is None else _sample(row)

    def sample_file(self, name: str) -> bytes | None:
        """The bytes of the CSV that was given out."""
        with self._db.read():
            row = self._row(name)
        return None if row is None else zlib.decompress(row["file"])

    def samples(self, model: str | None = None, limit: int = 20) -> tuple[Sample, ...]:
        """The newest draws of a model, or of all, newest first."""
        where, values = of_model(model)
        with self._db.read():
            rows = self._db.rows(
                f"SELECT record FROM samples {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
                *values,
                limit,
            )
        return tuple(_sample(row) for row in rows)

    def _row(self, name: str) -> Row | None:
        return self._db.row("SELECT * FROM samples WHERE name = ?", name)


def _sample(row: Row) -> Sample:
    fields = json.loads(row["record"])
    return Sample(**{**fields, "at": moment(fields["at"]), "notes": tuple(fields["notes"])})
