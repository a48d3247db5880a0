"""A table of several files: a folder of parts, as Spark, Dask and pandas write it, is one batch.

Parts are read in the order of their names and merged in that order, so that whoever summarizes them, and where,
comes to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from detectors.cells import some_names
from detectors.errors import DataError

if TYPE_CHECKING:
    from detectors.chunks import Advance
    from detectors.location import Location

SUCCESS = "_SUCCESS"  # what Spark writes into a folder once it is whole
UNFINISHED = "_temporary"  # and where it keeps its parts until then


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a folder. Its place among the sorted names decides which of its rows are drawn as a sample."""

    index: int
    path: Path
    size: int


class Engine(Protocol):
    """Calls `work(shared, part, advance)` for each part, wherever it likes, and gives the results in their order.

    What it cannot do is a DataError of the kind "engine"; the errors of `work` are passed on as they are.
    """

    def __call__(
        self,
        work: Callable[[Any, Part, Advance | None], Any],
        shared: Any,
        parts: Sequence[Part],
        progress: Advance | None,
        /,
    ) -> Iterator[Any]: ...


def here(
    work: Callable[[Any, Part, Advance | None], Any],
    shared: Any,
    parts: Sequence[Part],
    progress: Advance | None,
    /,
) -> Iterator[Any]:
    """The engine of one machine: one part after the other, in this process."""
    for part in parts:
        yield work(shared, part, advance_within(parts, part, progress))


def is_folder(path: Location) -> TypeGuard[Path]:
    """Whether this is a folder of this machine; what a store has under a prefix is no table."""
    return isinstance(path, Path) and path.is_dir()


def is_table(folder: Path) -> bool:
    """Whether a folder says of itself that it is one table; one that may not be entered does not."""
    return folder.name.lower().endswith(".parquet") or _holds(folder, SUCCESS)


def is_being_written(folder: Path) -> bool:
    """Whether Spark has not finished it yet; others do not tell."""
    return _holds(folder, UNFINISHED)


def _holds(folder: Path, name: str) -> bool:
    try:
        return (folder / name).exists()
    except OSError:
        return False


def parts_of(folder: Path) -> tuple[Part, ...]:
    """The data files of a folder, by name; what begins with "_" or "." is none.

    Raises:
        DataError: "unreadable" where there are none, it has folders of its own, or cannot be listed.
    """
    if is_being_written(folder):
        raise DataError(
            "unreadable", f"{folder} is still being written: it holds {UNFINISHED}; check it again afterwards"
        )
    try:
        names = sorted(path for path in folder.iterdir() if not path.name.startswith(("_", ".", "~")))
        if nested := [path.name for path in names if path.is_dir()]:
            raise DataError(
                "unreadable",
                f"{folder} has folders of its own ({some_names(nested)}): a batch is one folder of files, so name "
                "one of them",
            )
        parts = tuple(Part(i, path, path.stat().st_size) for i, path in enumerate(names))
    except OSError as error:
        raise DataError("unreadable", f"{folder} cannot be read: {error.strerror or error}") from None
    if not parts:
        raise DataError("unreadable", f"{folder} is a folder without data files: was it written to the end?")
    return parts


def check_columns(columns: Sequence[str], first: Sequence[str], name: object, first_name: object) -> None:
    """DataError "columns" if a part does not have the columns of the first; their order does not matter."""
    has, wanted = set(columns), set(first)
    lacking = [column for column in first if column not in has]
    more = [column for column in columns if column not in wanted]
    if lacking or more:
        differs = [f"lacks {some_names(lacking)}"] * bool(lacking) + [f"has {some_names(more)} more"] * bool(
            more
        )
        raise DataError(
            "columns", f"{name} does not have the columns of {first_name}: it {' and '.join(differs)}"
        )


def advance_within(parts: Sequence[Part], part: Part, progress: Advance | None) -> Advance | None:
    """The progress of one part, told as that of the whole folder."""
    if progress is None:
        return None
    before, whole = sum(p.size for p in parts[: part.index]), sum(p.size for p in parts)
    return lambda done, _: progress(before + done, whole)
