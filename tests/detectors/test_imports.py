"""A check of a file must not pay for what it does not use."""

from __future__ import annotations

import subprocess
import sys


def test_a_check_of_a_file_imports_nothing_heavy(tmp_path, draw):
    from detectors import Baseline

    Baseline.fit(draw(200)).save(tmp_path / "b.npz")
    draw(100, 1).to_csv(tmp_path / "b.csv", index=False)
    code = (
        "import sys; from detectors import Baseline, check\n"
        "from detectors.psi import PSI; from detectors.ks import KS\n"
        "import detectors.performance\n"
        "report = check(Baseline.load(sys.argv[1]), sys.argv[2], detectors=(PSI(), KS()))\n"
        "heavy = ('pandas', 'sklearn', 'scipy.stats', 'mlflow', 'matplotlib', 'slack_bolt')\n"
        "print(report.rows, [name for name in heavy if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b.npz"), str(tmp_path / "b.csv")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split(maxsplit=1) == ["100", "[]\n"]


def test_the_package_gives_its_parts_whatever_was_loaded_before():
    code = (
        "import detectors.checking, detectors.baseline, detectors\n"
        "from detectors import check; from detectors import check as again\n"
        "print(callable(check), check is again, sorted(detectors.__all__) == sorted(detectors._HOMES))\n"
        "for name in detectors.__all__: assert getattr(detectors, name).__name__ == name, name\n"
        "try: detectors.nonsense\n"
        "except AttributeError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "True True True",
        "module 'detectors' has no attribute 'nonsense'",
    ]
