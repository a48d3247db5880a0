"""Champion and challenger on rows that come in groups (hosts, sessions): what is chance is the group, not the row.

Rows of a group are alike, so that a model which is lucky with one is lucky with all: taken for independent they give
intervals far too narrow and p-values far too small. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np  # at run time late: a status reads what is stored of a judgement, and loads no NumPy

Shifts = tuple[tuple[int, int], ...]  # (rows gained less rows lost, groups with that), without those of 0
RESAMPLES = 4_000
_LEAST = 1_000  # resamples, however many groups
_CELLS = 20_000_000  # numbers drawn in all
_STEPS = 20_000_000  # of the exact distribution, beyond which it is drawn
_DRAWS = 99_999
_SEED = 0


def shifts(gained: np.ndarray, group_of: np.ndarray) -> Shifts:
    """How many groups gained how much.

    Args:
        gained: 1 where only the challenger is right, -1 where only the champion is, else 0; shape (rows,).
        group_of: number of each row's group, from 0, shape (rows,).
    """
    import numpy as np

    by_group = np.bincount(group_of, weights=gained).astype(int)
    values, times = np.unique(by_group[by_group != 0], return_counts=True)
    return tuple((int(value), int(number)) for value, number in zip(values, times, strict=True))


def sign_flip(
    found: Shifts, alternative: Literal["two-sided", "greater", "less"] = "two-sided", *, steps: int = _STEPS
) -> float:
    """How often chance alone would favour one of the two models at least this much, all rows of a group at once.

    Without a difference what a group gained could as well have been lost, independently of the other groups
    (Fisher's randomization test; Canay, Romano and Shaikh, Econometrica 85, 2017, for clusters). The distribution of
    the sum over all 2^groups signs is exact, by convolution; where that is long it is drawn, seeded, and p is
    (1 + hits) / (1 + draws). With one row a group it is McNemar's exact test. No group that differs gives p = 1.
    """
    import numpy as np

    total = sum(value * number for value, number in found)
    sizes: dict[int, int] = {}
    for value, number in found:
        sizes[abs(value)] = sizes.get(abs(value), 0) + number
    if not sizes:
        return 1.0
    if alternative == "two-sided" and total == 0:
        return 1.0
    reached = total if alternative == "greater" else -total if alternative == "less" else abs(total)
    most = sum(size * number for size, number in sizes.items())
    if sum(sizes.values()) * most <= steps:
        chance = _exact(sizes)
        tail = float(chance[max(0, (most + reached + 1) // 2) :].sum())
    else:
        rng = np.random.default_rng(_SEED)
        sums = np.zeros(_DRAWS, dtype=np.int64)
        for size, number in sizes.items():
            sums += size * (2 * rng.binomial(number, 0.5, _DRAWS) - number)
        tail = (1 + int((sums >= reached).sum())) / (1 + _DRAWS)
    return min(1.0, 2 * tail if alternative == "two-sided" else tail)


def _exact(sizes: dict[int, int]) -> np.ndarray:
    """Chance of each sum from -most (place 0) to most, in steps of 2, under random signs."""
    import numpy as np
    from scipy.stats import binom

    chance = np.ones(1)
    for size, number in sorted(sizes.items()):
        wider = np.zeros(len(chance) + size * number)
        for plus, share in enumerate(binom.pmf(np.arange(number + 1), number, 0.5)):
            wider[size * plus : size * plus + len(chance)] += share * chance
        chance = wider
    return chance


def draw_groups(tables: np.ndarray, added: float = 0.5) -> np.ndarray:
    """Counts of resamples in which whole groups are drawn, shape (resamples, 4 k), seeded.

    The cluster bootstrap (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8; Field and
    Welsh, J. R. Stat. Soc. B 69, 2007). Before that half a group of usual size (or `added`) is added to each count
    of a class that occurs, as `trainers.judgement` adds half a row: ten groups without a difference rule out as
    little as ten rows. Simulated, that also makes up for the narrowness of the bootstrap with few groups (of 5, 10
    and 30 groups of 50 related rows the 95 % interval holds the truth in 98 % or more, of 100 in 95 %).

    Args:
        tables: of each group the four counts of each of k classes, shape (groups, 4 k).
        added: groups added to each count.
    """
    import numpy as np

    kinds, times = np.unique(tables, axis=0, return_counts=True)
    kinds, weights = kinds.astype(float), times.astype(float)
    width = tables.shape[1]
    for first in range(0, width, 4):
        rows = tables[:, first : first + 4].sum(axis=1)
        if rows.any():
            usual = np.zeros((4, width))
            usual[:, first : first + 4] = np.eye(4) * rows.sum() / np.count_nonzero(rows)
            kinds, weights = np.vstack([kinds, usual]), np.append(weights, [added] * 4)
    rng = np.random.default_rng(_SEED)
    resamples = min(RESAMPLES, max(_LEAST, _CELLS // len(weights)))
    part = max(1, 2_000_000 // len(weights))
    drawn = [
        rng.multinomial(len(tables), weights / weights.sum(), size=min(part, resamples - begun)) @ kinds
        for begun in range(0, resamples, part)
    ]
    return np.concatenate(drawn)
