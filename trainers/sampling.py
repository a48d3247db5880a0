"""Which rows of a batch to label: drawn with unequal chances that are known, so that metrics from them stay unbiased.

A strategy is a mix of arms. Each arm gives every row a share of its own; the mix of the shares, scaled so that the
chances sum to n, is the chance of a row to be drawn, and its inverse is the row's weight. A random part in every mix
bounds the weights (a defensive mixture: Hesterberg, Technometrics 37, 1995). The draw has a fixed size and exactly
these chances (Deville and Tillé, "Unequal probability sampling without replacement through a splitting method",
Biometrika 85, 1998: the ordered pivotal method), and spreads over the order in which it gets the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from detectors.chunks import Advance
from detectors.codes import CodedRows
from detectors.domain_classifier import DomainClassifier
from detectors.location import Location
from detectors.sample import RowSample, RowSampler
from detectors.source import stream

Arm = Literal["random", "uncertain", "drift", "diverse"]
Strategy = Literal["hybrid", "uncertain", "drift", "diverse", "time", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

# Of each strategy the share of every arm. Half of the hybrid is a random control. The others too have a random
# part: a row whose own share is nearly zero would otherwise have a weight that drowns all others.
MIXES: Mapping[Strategy, Mapping[Arm, float]] = {
    "hybrid": {"random": 0.5, "uncertain": 0.25, "drift": 0.25},
    "uncertain": {"random": 0.1, "uncertain": 0.9},
    "drift": {"random": 0.1, "drift": 0.9},
    "diverse": {"random": 0.1, "diverse": 0.9},
    "time": {"random": 1.0},
    "random": {"random": 1.0},
}
MOST_ROWS, MOST_CELLS = 50_000, 5_000_000  # of the pool, which is held in memory
_GROUPS, _ROWS_A_GROUP = 50, 5
_LEARNED = 5_000  # rows from which the groups are learned


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The rows that are considered: all of a batch, or of a large one a random sample of fixed size.

    Attributes:
        sample: their cells, in the order of the batch.
        rows: number of each in the batch, from 1, ascending, int64, shape (rows,).
        total: rows of the batch.
    """

    sample: RowSample
    rows: np.ndarray
    total: int

    @property
    def chance(self) -> float:
        """Of a row of the batch to be in the pool."""
        return len(self.rows) / self.total


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The rows that were drawn; arrays of shape (n,), in the order of the pool.

    Attributes:
        at: places in the pool, int64.
        chance: of inclusion, given the pool.
        arm: which arm each row counts for. Those of `random` are by themselves a sample in which every row of the
            batch had the same chance.
        shares: of the arms that there were.
    """

    at: np.ndarray
    chance: np.ndarray
    arm: tuple[Arm, ...]
    shares: Mapping[Arm, float]


def read_pool(
    source: Location,
    numeric: frozenset[str],
    categorical: frozenset[str],
    *,
    seed: int = 0,
    most: int | None = None,
    progress: Advance | None = None,
) -> Pool:
    """Stream a batch once and keep at most 50,000 of its rows (fewer of a wide table), drawn at random.

    Args:
        numeric / categorical: the columns that are kept, as numbers and as text.
        most: another bound of the rows.

    Raises:
        DataError: the file cannot be used.
    """
    if most is None:
        most = min(MOST_ROWS, max(1_000, MOST_CELLS // max(1, len(numeric) + len(categorical))))
    sampler, total, place = RowSampler(most, seed), 0, "\0row"  # no header holds that name
    for chunk in stream(source, numeric, categorical, progress=progress):
        numbers = np.arange(total + 1, total + chunk.rows + 1, dtype=np.float64)
        sampler.add(chunk.rows, {**chunk.numeric, place: numbers}, chunk.categorical)
        total += chunk.rows
    sample = sampler.sample()
    if sample is None:  # `stream` has raised before
        raise ValueError(f"{source} has no rows")
    order = np.argsort(sample.numeric[place], kind="stable")
    rows = sample.numeric[place][order].astype(np.int64)
    columns = {name: values[order] for name, values in sample.numeric.items() if name != place}
    words = {name: values[order] for name, values in sample.categorical.items()}
    return Pool(RowSample(sample.keys[order], columns, words), rows, total)


# --- the arms: what a row's share of a draw is; each is positive, shape (rows,) ---


def unsure(chance: np.ndarray, *, several: bool = False) -> np.ndarray:
    """Large where the model's probability of class 1 is near one half: the standard deviation of such a label.

    Of several classes, where it may be well below one half, it is the chance to be wrong ("least confidence"; Settles,
    "Active learning literature survey", University of Wisconsin-Madison, 2009, section 3.1).

    Args:
        chance: of class 1, or of several classes that of the one that is said; shape (rows,).
    """
    if several:
        return np.asarray(np.clip(1 - chance, 1e-3, None))
    return np.asarray(np.sqrt(np.clip(chance * (1 - chance), 1e-6, None)))


def strange(chance: np.ndarray) -> np.ndarray:
    """How much of what is like the row the training data do not explain: 1 - 1/odds of being the batch's.

    At least 0.02: the classifier may be wrong.

    Args:
        chance: of the row to be one of the batch, from 0 to 1, as if batch and training data had as many rows.
    """
    return np.asarray(np.clip(1 - (1 - chance) / np.clip(chance, 1e-6, None), 0.02, None))


def rare(group: np.ndarray) -> np.ndarray:
    """The same for each group of rows, whatever its size.

    Args:
        group: number of each row's group, int, shape (rows,).
    """
    return np.asarray(1.0 / np.bincount(group)[group])


def strangeness(reference: CodedRows | None, batch: CodedRows, seed: int = 0) -> np.ndarray | None:
    """What a domain classifier says of each row, out of sample; None where there is too little to learn from."""
    return None if reference is None else DomainClassifier(seed=seed).chance_of_batch(reference, batch)


def groups(batch: CodedRows, n: int, seed: int = 0) -> np.ndarray:
    """Number of the group of each row: k-means on the codes, one group for five rows that are drawn, at most 50.

    References: Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28 (1982).
    """
    from sklearn.cluster import KMeans

    points = _points(batch)
    learned = np.random.default_rng(seed).permutation(len(points))[:_LEARNED]
    k = max(1, min(_GROUPS, n // _ROWS_A_GROUP, len(np.unique(points[learned], axis=0))))
    model = KMeans(k, n_init=1, random_state=seed).fit(points[learned])
    found: np.ndarray = np.unique(model.predict(points), return_inverse=True)[1]
    return found


def _points(batch: CodedRows) -> np.ndarray:
    """Quantile codes from 0 to 1; two different categories are as far apart as the ends of a number's range."""
    columns = []
    for i, kind in enumerate(batch.kinds):
        code = batch.codes[:, i]
        if kind == "numeric":
            columns.append((code / 34.0)[:, None])
        else:
            columns.append((code[:, None] == np.unique(code)[None, :]) / np.sqrt(2.0))
    return np.concatenate(columns, axis=1).astype(np.float32)


# --- the draw ---


def draw(
    arms: Mapping[Arm, np.ndarray],
    shares: Mapping[Arm, float],
    n: int,
    random: np.random.Generator,
    *,
    spread: bool = False,
    rows: int,
) -> Drawn:
    """Draw n rows, or all where there are no more.

    Args:
        arms: share of every row in each arm but `random`, positive, shape (rows,); what is missing of `shares`
            goes to the others in proportion.
        shares: of the arms in the mix; they sum to 1.
        random: the source of chance.
        spread: over the order of the rows, which is their order in time; else in a random order, and rows of equal
            chances are a simple random sample.
        rows: of the pool.
    """
    arms = {"random": np.ones(rows), **arms}
    given = {arm: share for arm, share in shares.items() if arm in arms and share > 0}
    total = sum(given.values())
    mix = {arm: share / total for arm, share in given.items()}
    parts = {arm: share * arms[arm] / arms[arm].sum() for arm, share in mix.items()}
    chance = inclusion(np.sum(list(parts.values()), axis=0), n)
    order = np.arange(rows) if spread else random.permutation(rows)
    at = np.sort(order[pivotal(chance[order], random)])
    return Drawn(at, chance[at], _arms(parts, at, chance[at], n, random), mix)


def inclusion(size: np.ndarray, n: int) -> np.ndarray:
    """Chances min(1, c size) with the c for which they sum to n; all 1 where there are no more than n rows.

    Args:
        size: positive, shape (rows,).

    References: Horvitz and Thompson, JASA 47 (1952); Särndal, Swensson and Wretman, "Model assisted survey sampling"
    (1992), 3.6.
    """
    if n >= len(size):
        return np.ones(len(size))
    order = np.argsort(-size, kind="stable")
    large = size[order]
    left = np.cumsum(large[::-1])[::-1]  # the sizes from each place on
    scale = (n - np.arange(n)) / left[:n]
    certain = int(np.argmax(scale * large[:n] <= 1.0))  # the last of them always fits
    chance = np.ones(len(size))
    chance[order[certain:]] = np.minimum(scale[certain] * large[certain:], 1.0)
    return chance


def pivotal(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Which rows are drawn, bool, shape (rows,): as many as the chances sum to, each row with its own chance.

    Row after row fights against the one that is still undecided: one of both is settled, and the other takes
    what is left of the chances of both. So neighbours are seldom drawn together.
    """
    drawn = chance >= 1.0
    open_rows = np.flatnonzero(~drawn & (chance > 0.0))
    luck = random.random(len(open_rows)).tolist()
    held, left = -1, 0.0
    for row, p, u in zip(open_rows.tolist(), chance[open_rows].tolist(), luck, strict=True):
        if held < 0:
            held, left = row, p
            continue
        both = left + p
        if both < 1.0:
            held = held if u * both < left else row
            left = both
        else:
            newcomer = u * (2.0 - both) < 1.0 - left  # is drawn, and the other stays open
            drawn[row if newcomer else held] = True
            held, left = (held if newcomer else row), both - 1.0
    if held >= 0 and left > 0.5:  # what is left is 0 or 1, but for rounding
        drawn[held] = True
    return drawn


def _arms(
    parts: Mapping[Arm, np.ndarray], at: np.ndarray, chance: np.ndarray, n: int, random: np.random.Generator
) -> tuple[Arm, ...]:
    """The arm that each drawn row counts for, by lot; `random` with the same chance for every row of the pool."""
    names: list[Arm] = [arm for arm in parts if arm != "random"]
    all_names: list[Arm] = ["random", *names]
    control = np.minimum(n * parts["random"][at] / chance, 1.0) if "random" in parts else np.zeros(len(at))
    if not names:
        return tuple(all_names * len(at))
    own = np.stack([parts[arm][at] for arm in names])
    upto = control + (1 - control) * np.cumsum(own, axis=0) / own.sum(axis=0)
    which = (random.random(len(at))[None, :] >= np.vstack([control, upto[:-1]])).sum(axis=0)
    return tuple(all_names[i] for i in which.tolist())


def explained(
    drawn: Drawn,
    *,
    chance: np.ndarray | None = None,
    strangeness: np.ndarray | None = None,
    group: np.ndarray | None = None,
    spread: bool = False,
) -> list[str]:
    """Why each row was drawn, in plain words; the other arguments are what the arms are made from, by pool row."""

    def word(arm: Arm, i: Any) -> str:
        if arm == "uncertain" and chance is not None:
            return f"the model is unsure: probability {chance[i]:.2f}"
        if arm == "drift" and strangeness is not None:
            return f"unlike the training data: {100 * strangeness[i]:.0f} of 100"
        if arm == "diverse" and group is not None:
            alike = int((group == group[i]).sum())
            return f"one of {alike:,} alike, group {group[i] + 1} of {group.max() + 1}"
        return "at random, spread over the rows" if spread else "at random, as a control"

    return [word(arm, i) for arm, i in zip(drawn.arm, drawn.at.tolist(), strict=True)]
