"""Where two versions say something else of the same rows: how often, which way, and in which segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # at run time late: a status reads what is stored, and loads no NumPy
    import numpy as np

    from detectors.codes import CodedRows
    from detectors.profile import FeatureProfile

ALPHA = 0.01
TWO = ("negative", "positive")
_MOST = 0.5  # of the rows that differ are in a place that is named
_LARGEST = 0.6  # of all rows: more is no place
_LIFT = 1.5  # times as many of what differs as of all rows
_KEPT = 5  # places of a batch, so that those of several batches can be put together


@dataclass(frozen=True, slots=True)
class Place:
    """A segment of one feature that holds most of what differs.

    Attributes:
        name: `Protocol = "17"`, `Dst Port above 53 up to 80`.
        rows: in it;  differing: of these, on how many the versions differ.
        among: rows of the batches in which it stood out, with those that lie elsewhere;  among_differing: of these, on
            how many the versions differ.
        batches: in how many it stood out: of the others it is not kept how many rows lie in it.
    """

    name: str
    rows: int
    differing: int
    among: int
    among_differing: int
    batches: int = 1


@dataclass(frozen=True, slots=True)
class Said:
    """On so many rows the champion says one class and the challenger another, or the same."""

    champion: str
    challenger: str
    rows: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Champion and challenger on the same rows.

    Attributes:
        said: how often each pair of classes was said, most often first; two classes are "negative" and "positive".
        champion_mean / challenger_mean: mean probability of class 1, or of several classes of the one that was said.
        places: where they differ, if most of it is in one segment; the most concentrated first.
        several: whether the classes have names of their own.
    """

    said: tuple[Said, ...]
    champion_mean: float
    challenger_mean: float
    places: tuple[Place, ...] = ()
    several: bool = False

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.said)

    @property
    def turned(self) -> tuple[Said, ...]:
        """Those that are not the same class, most often first."""
        return tuple(one for one in self.said if one.champion != one.challenger)

    @property
    def differing(self) -> int:
        return sum(one.rows for one in self.turned)

    @property
    def share(self) -> float:
        """Of the rows on which they differ; 0 of none."""
        return self.differing / self.rows if self.rows else 0.0

    def positive(self, *, champion: bool | None = None, challenger: bool | None = None) -> int:
        """Rows of two classes by who calls them positive; None: whether or not."""

        def fits(said: str, asked: bool | None) -> bool:
            return asked is None or (said == TWO[1]) == asked

        return sum(
            one.rows for one in self.said if fits(one.champion, champion) and fits(one.challenger, challenger)
        )


def disagreement(
    champion: tuple[np.ndarray, np.ndarray],
    challenger: tuple[np.ndarray, np.ndarray],
    parts: Sequence[FeatureProfile],
    rows: CodedRows,
    classes: Sequence[str] = (),
) -> Disagreement:
    """Compare what two versions say of the same rows.

    Args:
        champion / challenger: label (0 or 1) and probability of class 1, each of shape (rows,); of several classes
            position in `classes` and probability of that one.
        parts: reference profiles of the features, in the order of the columns of `rows`.
        rows: the rows, coded by them.
        classes: names, where there are several.
    """
    import numpy as np

    (ours, our_chance), (theirs, their_chance) = champion, challenger
    names = tuple(classes) or TWO
    counts = np.bincount(ours.astype(int) * len(names) + theirs.astype(int), minlength=len(names) ** 2)
    said = [
        Said(names[place // len(names)], names[place % len(names)], int(counts[place]))
        for place in np.flatnonzero(counts)
    ]
    return Disagreement(
        _sorted(said),
        champion_mean=float(our_chance.mean()),
        challenger_mean=float(their_chance.mean()),
        places=_places(parts, rows, np.asarray(ours != theirs)),
        several=bool(classes),
    )


def together(found: Iterable[Disagreement]) -> Disagreement | None:
    """Several batches as one; None of none.

    A place must hold most of what differs in all of them, though it need not have stood out in each.
    """
    each = [one for one in found if one.rows]
    if not each:
        return None
    rows = sum(one.rows for one in each)
    listed: dict[str, list[Place]] = {}
    for place in (place for one in each for place in one.places):
        listed.setdefault(place.name, []).append(place)
    differing = sum(one.differing for one in each)
    said = Counter[tuple[str, str]]()
    for one in each:
        said.update({(pair.champion, pair.challenger): pair.rows for pair in one.said})
    return Disagreement(
        _sorted([Said(*names, count) for names, count in said.items()]),
        champion_mean=sum(one.champion_mean * one.rows for one in each) / rows,
        challenger_mean=sum(one.challenger_mean * one.rows for one in each) / rows,
        places=_most_of(map(_summed, listed.values()), differing),
        several=each[0].several,
    )


def _summed(same: Sequence[Place]) -> Place:
    """One place of several batches."""
    return Place(
        same[0].name,
        rows=sum(place.rows for place in same),
        differing=sum(place.differing for place in same),
        among=sum(place.among for place in same),
        among_differing=sum(place.among_differing for place in same),
        batches=sum(place.batches for place in same),
    )


def _sorted(said: Iterable[Said]) -> tuple[Said, ...]:
    return tuple(sorted(said, key=lambda one: (-one.rows, one.champion, one.challenger)))


def _places(parts: Sequence[FeatureProfile], rows: CodedRows, differ: np.ndarray) -> tuple[Place, ...]:
    """Categories and quarters of single features in which most of what differs lies, beyond chance.

    Each is judged by the hypergeometric tail (Fisher's exact test, one-sided) times the number of all candidates
    that have rows (Bonferroni, never more lenient than Holm).
    """
    import numpy as np

    from detectors.attribution import CODES, named_cells
    from detectors.significance import hypergeometric_tail

    count, differing = rows.rows, int(differ.sum())
    tried, found = 0, []
    for i, part in enumerate(parts):
        every = np.bincount(rows.codes[:, i], minlength=CODES)
        odd = np.bincount(rows.codes[differ, i], minlength=CODES)
        for codes, name in named_cells(part, every):
            inside = int(every[codes].sum())
            if 0 < inside < count:
                tried += 1
                found.append(Place(name, inside, int(odd[codes].sum()), count, differing))
    kept = [
        place
        for place in _most_of(found, differing)
        if tried * hypergeometric_tail(place.differing, place.rows, differing, count) <= ALPHA
    ]
    return tuple(kept[:_KEPT])


def _most_of(places: Iterable[Place], differing: int) -> tuple[Place, ...]:
    """Those that hold most of what differs and far fewer of the rows, the most concentrated first."""
    most = [
        place
        for place in places
        if place.differing > _MOST * differing
        and place.rows <= _LARGEST * place.among
        and place.differing * place.among >= _LIFT * place.rows * place.among_differing
    ]
    return tuple(sorted(most, key=lambda place: (-place.differing / place.rows, place.name)))
