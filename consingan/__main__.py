"""``python -m consingan``."""

from consingan.cli import main

if __name__ == "__main__":
    main(prog_name="python -m consingan")
