"""The classic workflow's PSI, as it is usually written: pandas reads all, NumPy counts deciles.

`classic.py learn REFERENCE KEPT` keeps the edges and shares of the training data, `classic.py check KEPT BATCH` judges.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def shares(values, edges):
    counted, _ = np.histogram(values, bins=edges)
    return np.clip(counted / max(counted.sum(), 1), 1e-6, None)


def learn(reference, kept):
    numbers = pd.read_csv(reference).select_dtypes("number")
    learned = {}
    for name in numbers:
        edges = np.unique(np.quantile(numbers[name], np.linspace(0, 1, 11)))
        edges = np.append(edges, edges[-1] + 1) if len(edges) == 1 else edges
        edges[0], edges[-1] = -1e300, 1e300
        learned[name] = {"edges": list(edges), "shares": list(shares(numbers[name], edges))}
    Path(kept).write_text(json.dumps(learned))


def check(kept, batch):
    learned, numbers = json.loads(Path(kept).read_text()), pd.read_csv(batch)
    found = {}
    for name, was in learned.items():
        before, now = np.array(was["shares"]), shares(numbers[name], was["edges"])
        found[name] = float(((now - before) * np.log(now / before)).sum())
    print("mean PSI", np.mean(list(found.values())), "largest", max(found, key=found.get))


{"learn": learn, "check": check}[sys.argv[1]](*sys.argv[2:])
