"""Profiles as compact bytes: one npz archive without pickles, JSON for the small things."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.codes import CodedRows
from detectors.errors import DataError
from detectors.profile import FeatureProfile, Profile
from detectors.track_record import TrackRecord, class_profile, score_profile

_FORMAT = 1
_BATCH_LEVEL, _BASELINE_LEVEL = 4, 6  # of zlib: a check packs a profile in a third of the time, 3 % larger
_SCALARS = (
    *("name", "kind", "rows", "missing", "invalid", "finite", "mean", "m2", "minimum", "maximum"),
    *("known", "unseen", "unseen_rows", "variation"),
)
_TABLE = ("columns", "missing_columns", "extra_columns", "notes", "errors")


def pack_profile(
    profile: Profile,
    extra: Mapping[str, Any] | None = None,
    more: Mapping[str, np.ndarray] | None = None,
    level: int = _BATCH_LEVEL,
) -> bytes:
    """A profile, and JSON and arrays of one's own beside it, as bytes."""
    parts = list(profile.features.values())
    features = []
    for part in parts:
        record = {key: getattr(part, key) for key in _SCALARS}
        record |= {"unseen": dict(part.unseen), "variation": dict(part.variation)}
        record |= {"grid": len(part.grid), "cells": np.searchsorted(part.grid, part.edges).tolist()}
        features.append(record)
    meta = {"format": _FORMAT, "extra": dict(extra or {}), "rows": profile.rows, "features": features}
    meta |= {key: getattr(profile, key) for key in _TABLE}
    grids = np.concatenate([np.empty(0), *(p.grid for p in parts)])
    arrays = {
        "meta": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8),
        # bytes of the same rank side by side: neighbouring quantiles share their leading ones
        "grid": np.ascontiguousarray(grids.astype("<f8").view(np.uint8).reshape(-1, 8).T),
        "below": _delta([p.below for p in parts]),
        "at_most": _delta([p.at_most - p.below for p in parts]),
        "counts": _delta([p.counts for p in parts]),
    }
    return _archive({**arrays, **(more or {})}, level)


def _archive(arrays: Mapping[str, np.ndarray], level: int) -> bytes:
    """As `numpy.savez_compressed` writes it, which always takes level 6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
    return buffer.getvalue()


def unpack_profile(data: bytes) -> tuple[Profile, dict[str, Any], dict[str, np.ndarray]]:
    """The inverse of `pack_profile`: the profile, the extra JSON, and the arrays."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        meta = json.loads(arrays["meta"].tobytes())
        if meta["format"] != _FORMAT:
            raise DataError(
                "unreadable", f"a profile of format {meta['format']}: this version reads {_FORMAT}"
            )
        features = _features(meta["features"], arrays)
        table: dict[str, Any] = {key: tuple(meta[key]) for key in _TABLE}
        return Profile(rows=meta["rows"], features=features, **table), meta["extra"], arrays
    except Exception as error:  # damaged bytes: NumPy, zipfile, zlib and tokenize each raise their own
        if isinstance(error, DataError):
            raise
        raise DataError(
            "unreadable", f"not a profile, or a damaged one ({type(error).__name__}: {error})"
        ) from None


def pack_baseline(
    profile: Profile, extra: Mapping[str, Any], table: CodedRows | None, record: TrackRecord | None
) -> bytes:
    """What belongs to a baseline, as bytes."""
    more: dict[str, np.ndarray] = {}
    said = dict(extra)
    if table is not None:
        more["table"] = table.codes.T  # values of a feature side by side compress well
        said["table_variation"] = dict(table.variation)
    if record is not None:
        more |= {
            "record_rows": record.rows.codes.T,
            "record_score": record.score,
            "record_said": np.stack([record.predicted, record.label]),
        }
        said |= {"importance": dict(record.importance), "score_variation": dict(record.profile.variation)}
        if record.spoken is not None:
            said |= {"classes": list(record.classes), "class_variation": dict(record.spoken.variation)}
    return pack_profile(profile, said, more, _BASELINE_LEVEL)


def unpack_baseline(
    data: bytes,
) -> tuple[Profile, dict[str, Any], CodedRows | None, TrackRecord | None]:
    """The inverse of `pack_baseline`."""
    profile, extra, arrays = unpack_profile(data)
    names = tuple(profile.features)
    kinds = tuple(part.kind for part in profile.features.values())
    table = record = None
    if "table" in arrays:
        table = CodedRows(names, kinds, arrays["table"].T, extra["table_variation"])
    if "record_rows" in arrays:
        predicted, label = arrays["record_said"]
        classes = tuple(extra.get("classes", ()))  # of several classes alone
        record = TrackRecord(
            rows=CodedRows(names, kinds, arrays["record_rows"].T),
            score=arrays["record_score"],
            predicted=predicted,
            label=label,
            profile=score_profile(arrays["record_score"], extra["score_variation"]),
            importance=extra["importance"],
            classes=classes,
            spoken=class_profile(predicted, classes, extra["class_variation"]) if classes else None,
        )
    return profile, extra, table, record


def _features(records: list[dict[str, Any]], arrays: Mapping[str, np.ndarray]) -> dict[str, FeatureProfile]:
    grids = np.ascontiguousarray(arrays["grid"].T).view("<f8").ravel().astype(np.float64)
    below, atoms, counts = (arrays[key].astype(np.int64) for key in ("below", "at_most", "counts"))
    features, at, seen = {}, 0, 0
    for record in records:
        points, cells, words = record.pop("grid"), record.pop("cells"), len(record["known"])
        grid = grids[at : at + points]
        under = np.cumsum(below[at : at + points])
        part = FeatureProfile(
            **{**record, "known": tuple(record["known"])},
            grid=grid,
            edges=grid[np.array(cells, dtype=np.int64)],
            below=under,
            at_most=under + np.cumsum(atoms[at : at + points]),
            counts=np.cumsum(counts[seen : seen + words]),
        )
        features[part.name] = part
        at, seen = at + points, seen + words
    return features


def _delta(parts: list[np.ndarray]) -> np.ndarray:
    """Differences within each part, one after the other, in the smallest integer type that holds them."""
    joined = np.concatenate([np.empty(0, np.int64), *(np.diff(p, prepend=0) for p in parts)])
    for kind in (np.int8, np.int16, np.int32):
        if not len(joined) or (np.iinfo(kind).min <= joined.min() and joined.max() <= np.iinfo(kind).max):
            return joined.astype(kind)
    return joined
