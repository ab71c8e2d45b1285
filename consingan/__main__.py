"""``python -m consingan``, and what every way of starting the program goes through."""

import sys

from consingan import early


def started(command: str, called: str) -> None:
    """Run a command; also where it is stopped or cannot write before it has begun, there is no traceback.

    Args:
        command: a name in ``consingan.command.cli``.
        called: how the person started it, for the help.
    """
    try:
        from consingan.command import cli
        from consingan.command.flags import one_sentence

        early.release()  # from here on Ctrl-C is the command's
        with one_sentence():
            getattr(cli, command)(prog_name=called)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """The installed program."""
    started("main", "consingan")


if __name__ == "__main__":
    started("main", "python -m consingan")
