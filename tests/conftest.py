"""For every test: one thread for each numeric library, so that processes side by side do not wait for each other."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: child processes inherit it
