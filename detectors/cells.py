"""What a cell of a table means: missing, a number, or a category; the same for CSV, Parquet and frames."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Cells that mean "no value"; compared after stripping blanks.
NULLS = (
    "",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "#NA",
    "null",
    "NULL",
    "Null",
    "None",
    "NaN",
    "nan",
    "NAN",
    "-nan",
    "-NaN",
    "NaT",
)
_NULLS = frozenset(NULLS)
_DECIMAL = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?", re.ASCII)
_PAYLOAD = re.compile(r"[+-]?nan\(\w*\)", re.ASCII | re.IGNORECASE)  # as C prints it, and Arrow reads it
_TRUTH = {"true": "True", "false": "False"}
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([ T].*)?")


def decode(raw: bytes) -> str:
    """UTF-8, and cp1252 (what spreadsheets write) where the bytes are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def number(text: str) -> float | None:
    """The number a cell holds, NaN for a missing one, None if it is no number ("abc", "0x1", "1_000")."""
    text = text.strip()
    if text in _NULLS or _PAYLOAD.fullmatch(text):
        return math.nan
    if "_" in text:  # Python takes 1_000 for a number, no other reader of CSV does
        return None
    try:
        return float(text)
    except ValueError:
        return None


def category(value: Any) -> str | None:
    """The category a cell holds, None if missing: 3, 3.0 and "3.0" are "3"; true and TRUE are "True"."""
    if value is None or value is True or value is False:
        return None if value is None else str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = str(value).strip()
    if text in _NULLS:
        return None
    if _DECIMAL.fullmatch(text):  # 3, +3, 3.0, 2.5 and 2.50 as a reader of numbers would have given them
        return category(float(text)) if len(text) <= 15 else text
    return _TRUTH.get(text.lower(), text)


def survives_as_number(text: str) -> bool:
    """Whether a category stays the same when its column is held as numbers (007, 1e3 and 17 digits do not)."""
    value = number(text)
    return value is not None and (math.isnan(value) or category(value) == category(text))


def look_like_dates(values: Iterable[str]) -> bool:
    """Whether at least nine in ten of the values are written as a date (2017-07-03, 3/7/2017 8:55)."""
    seen = [bool(_DATE.fullmatch(value)) for value in values]
    return bool(seen) and sum(seen) >= 0.9 * len(seen)


def unique_names(raw: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names stripped, repeated ones numbered ("x", "x.1"), empty ones "Unnamed: 3"; and notes on repetitions."""
    stripped = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(raw)]
    taken = set(stripped)
    used: set[str] = set()
    names, notes = [], []
    for name in stripped:
        new, k = name, 0
        while new in used or (k and new in taken):
            k += 1
            new = f"{name}.{k}"
        if k:
            notes.append(f'column "{name}" occurs more than once: read as "{new}"')
        used.add(new)
        names.append(new)
    return tuple(names), tuple(notes)


def some_names(names: Sequence[str], most: int = 5) -> str:
    """The first few names in quotes, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f'"{name}"' for name in names[:most]) + more
