"""Many models, many files, a long history: `python -m tests.benchmarks.scale`; see --help."""

import os


def _start() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is there
    from tests.benchmarks.scale.command import main

    return main()


if __name__ == "__main__":
    raise SystemExit(_start())
