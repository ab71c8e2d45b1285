"""Ctrl-C while a program of ours is still being imported: exit code 130 and one line."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# starts a program as Python does, and presses Ctrl-C when a module of ours is looked for
PRESS = """
import os, runpy, signal, sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Pressed())
sys.path.insert(0, os.getcwd())
"""
PROGRAMS = {
    "module": "sys.argv[0] = '-m'; runpy.run_module('consingan', run_name='__main__', alter_sys=True)",
    "train": "sys.argv[0] = 'main_train.py'; runpy.run_path('main_train.py', run_name='__main__')",
    "sample": "sys.argv[0] = 'evaluate_model.py'; runpy.run_path('evaluate_model.py', run_name='__main__')",
    "installed": "sys.argv[0] = '/usr/bin/consingan'; from consingan.__main__ import main; main()",
}


def ran(program, *words):
    """A program run as from a terminal, also where the tests run in the background, in which Ctrl-C is ignored."""
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("moment", ["consingan.config", "consingan.command.cli"])
@pytest.mark.parametrize("start", PROGRAMS.values(), ids=PROGRAMS)
def test_ctrl_c_while_modules_are_imported(start, moment):
    done = ran(PRESS + start, moment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped at once.\n")


@pytest.mark.parametrize("moment", ["consingan", "consingan.early"])
@pytest.mark.parametrize("start", ["train", "sample"])
def test_ctrl_c_before_the_package_can_see_to_it(start, moment):
    done = ran(PRESS + PROGRAMS[start], moment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_library_leaves_ctrl_c_alone():
    program = "import signal, consingan; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = ran(program)
    assert done.stdout == "True\n"


def test_a_command_gets_its_ctrl_c_back(monkeypatch):
    from consingan import early

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "argv", ["consingan"])
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        early.hold()
        assert signal.getsignal(signal.SIGINT) is early.end
        early.release()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        early.hold()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
