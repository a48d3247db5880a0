"""The counts of both samples that a test of equal distribution may look at."""

from __future__ import annotations

import numpy as np

from detectors.profile import FeatureProfile


def pooled_cells(reference: FeatureProfile, current: FeatureProfile) -> tuple[np.ndarray, np.ndarray]:
    """The counts that are tested, int64, shape (cells,) each.

    Which categories are frequent, and which are unseen, the reference itself has decided: cells ordered and cut
    by it are no random split. So categories are taken in the order of both together.
    """
    if reference.kind == "numeric":
        return reference.cells, current.cells
    words = [*reference.known, *current.unseen]
    before = np.append(reference.counts, np.zeros(len(current.unseen), np.int64))
    after = np.append(current.counts, np.array(list(current.unseen.values()), np.int64))
    # ties by name, not by where the word was seen first
    order = sorted(range(len(words)), key=lambda i: (-int(before[i] + after[i]), words[i]))
    before, after = before[order], after[order]
    after = np.append(after, current.unseen_rows - sum(current.unseen.values()))
    before = np.append(before, 0)
    return np.append(before, reference.missing), np.append(after, current.missing)


def category_totals(reference: FeatureProfile, current: FeatureProfile) -> list[int]:
    """Rows of each category, both samples together."""
    known: list[int] = (reference.counts + current.counts).tolist()
    new = list(current.unseen.values())
    # rows of unseen categories beyond those counted one by one: each its own category, the likeliest case
    return known + new + [1] * (current.unseen_rows - sum(new))
