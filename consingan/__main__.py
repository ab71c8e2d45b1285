"""``python -m consingan``."""

from consingan.command.cli import main

if __name__ == "__main__":
    main(prog_name="python -m consingan")
