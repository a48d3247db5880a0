"""How old and new rows are mixed for training. Rows are drawn, not weighted, so that every trainer can be used.

The hold-outs and the baseline are of all rows, whatever is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np  # at run time late: a status reads what is configured, and loads no NumPy

_SEED = 0


@dataclass(frozen=True, slots=True)
class Mix:
    """Which training rows a model is fitted on.

    Attributes:
        use: "all": every row, once. "balanced": as many rows as there are, the same number of each class; those
            of a rare class are repeated, of a frequent one some are left out. Probabilities then are those of
            balanced classes. "recent": an era that is `half_life` eras old gives half of its rows. "capped": at
            most `old_per_new` old rows for each new one.
        half_life: in eras.
        old_per_new: rows.
    """

    use: Literal["all", "balanced", "recent", "capped"] = "all"
    half_life: float = 2.0
    old_per_new: float = 10.0

    def params(self) -> dict[str, str | float]:
        """What the run says of it."""
        more = {"recent": {"mix.half_life": self.half_life}, "capped": {"mix.old_per_new": self.old_per_new}}
        return {"mix": self.use, **more.get(self.use, {})}


ALL = Mix()


def draw(mix: Mix, eras: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Places of the rows to train on, ascending, seeded; a place may come several times.

    Of each class in each era at least one row is drawn, so that no class is lost.

    Args:
        eras: of each training row, shape (rows,); the newest is the new data.
        labels: its class, shape (rows,).
    """
    import numpy as np

    if mix.use == "all" or not len(eras):
        return np.arange(len(eras))
    rng = np.random.default_rng(_SEED)
    if mix.use == "balanced":
        classes = np.unique(labels)
        each = max(1, len(labels) // len(classes))
        parts = [_exactly(rng, np.flatnonzero(labels == one), each) for one in classes]
        return np.sort(np.concatenate(parts))
    newest = eras.max()
    shares = {era: _share(mix, int(newest - era), eras) for era in np.unique(eras)}
    kept = []
    for era, share in shares.items():
        for one in np.unique(labels[eras == era]):
            rows = np.flatnonzero((eras == era) & (labels == one))
            kept.append(_exactly(rng, rows, max(1, int(np.ceil(share * len(rows) - 1e-9)))))
    return np.sort(np.concatenate(kept))


def _share(mix: Mix, age: int, eras: np.ndarray) -> float:
    """The share of its rows that an era gives."""
    if mix.use == "recent":
        return float(0.5 ** (age / mix.half_life))
    new = int((eras == eras.max()).sum())
    old = len(eras) - new
    return 1.0 if age == 0 or not old else min(1.0, mix.old_per_new * new / old)


def _exactly(rng: np.random.Generator, rows: np.ndarray, number: int) -> np.ndarray:
    """So many of the rows, each as often as any other, give or take one."""
    import numpy as np

    times, rest = divmod(number, len(rows))
    return np.concatenate([np.tile(rows, times), rng.choice(rows, rest, replace=False)])


def told(mix: Mix, places: np.ndarray, eras: np.ndarray) -> str:
    """What was drawn, one sentence; empty where every row is used."""
    import numpy as np

    if mix.use == "all":
        return ""
    parts = [
        f"{int((eras[places] == era).sum()):,} of {int((eras == era).sum()):,} of era {era}"
        for era in np.unique(eras)
    ]
    return f'mix = "{mix.use}": trained on {len(places):,} of {len(eras):,} rows: {", ".join(parts)}'
