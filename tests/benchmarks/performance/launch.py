"""Runs a command; writes its wall and processor time and peak memory to a file: `launch.py RESULT CPUS COMMAND...`.

A process of its own, without imports worth mentioning: what a process had in memory when it forked counts into the peak
of its child, so a runner that has loaded NumPy cannot measure small ones.
"""

import json
import os
import subprocess
import sys
import time


def main() -> int:
    result, cpus, *command = sys.argv[1:]
    if cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])  # the command inherits it
    started = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    with open(result, "w") as file:  # noqa: PTH123 - pathlib would be one more import
        cpu = usage.ru_utime + usage.ru_stime
        json.dump({"seconds": seconds, "cpu": cpu, "peak": usage.ru_maxrss * unit}, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    raise SystemExit(main())
