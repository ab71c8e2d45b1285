"""Ctrl-C in the first moments of a program: how often a traceback is shown, and whose it is.

    python benchmarks/early.py --count 200

Each round starts a program in a process of its own, and sends SIGINT after a time between ``--from`` and ``--to``
milliseconds, evenly spread. A traceback with a line of this repository in it is ours. One without is Python's own: of
the time before it reads the first line of the program, when nothing of ours can be in the way.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "main_train.py": ["main_train.py"],
    "evaluate_model.py": ["evaluate_model.py"],
    "python -m consingan": ["-m", "consingan", "train"],
}
INSTALLED = Path(sys.executable).parent / "consingan"
if INSTALLED.is_file():
    PROGRAMS["consingan"] = [str(INSTALLED), "train"]
WORDS = ["--help"]


def pressed(program: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """A program that gets SIGINT so long after it was started, as a terminal would send it."""
    begin = monotonic()
    with subprocess.Popen(
        [sys.executable, *program, *WORDS],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as started:
        sleep(max(0.0, seconds - (monotonic() - begin)))
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=60)
    return subprocess.CompletedProcess(program, started.returncode, "", said)


def ending(done: subprocess.CompletedProcess[str]) -> str:
    """How it ended, in words."""
    files = re.findall(r'File "([^"]+)"', done.stderr)
    if "Traceback" in done.stderr or "KeyboardInterrupt" in done.stderr:
        ours = any(file.startswith(str(ROOT)) and ".venv" not in file for file in files)
        return "traceback of ours" if ours else "traceback of Python's start"
    if done.returncode in (-signal.SIGINT, 128 + signal.SIGINT):
        return "stopped"
    return "over before" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-200:]!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="rounds of each program")
    parser.add_argument("--from", dest="first", type=float, default=20, help="milliseconds")
    parser.add_argument("--to", dest="last", type=float, default=200, help="milliseconds")
    parser.add_argument("--show", action="store_true", help="print every traceback")
    asked = parser.parse_args()
    bad = False
    print("| program | rounds | how they ended |\n|---|---|---|", flush=True)
    for name, program in PROGRAMS.items():
        endings: Counter[str] = Counter()
        for number in range(asked.count):
            at = asked.first + (asked.last - asked.first) * number / max(1, asked.count - 1)
            done = pressed(program, at / 1000)
            endings[ending(done)] += 1
            if asked.show and "Traceback" in done.stderr:
                print(f"{at:.0f} ms\n{done.stderr}", file=sys.stderr)
        bad |= any(not how.startswith(("traceback of Python", "stopped", "over")) for how in endings)
        print(
            f"| `{name}` | {asked.count} | {', '.join(f'{n} {how}' for how, n in endings.most_common())} |", flush=True
        )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
