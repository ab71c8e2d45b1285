"""Ctrl-C before a command has begun: one line and exit code 130, where Python would show a traceback.

It imports little, because nothing else is there yet.
"""

import os
import signal
import sys

PROGRAMS = ("-m", "consingan", "main_train.py", "evaluate_model.py")  # by what they are started; -m on its way to main


def hold() -> None:
    """From here on, until ``release``: in our own programs, where Ctrl-C is not ignored."""
    own = os.path.basename(sys.argv[0]) if sys.argv else ""
    if own in PROGRAMS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


def release() -> None:
    """Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(number: int, frame: object) -> None:
    """Stop without asking the modules that are being imported."""
    os.write(2, b"Stopped at once.\n")
    os._exit(128 + number)
