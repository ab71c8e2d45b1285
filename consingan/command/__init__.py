"""The command line."""

import sys

from consingan.errors import missing_package

try:
    import click  # noqa: F401  (everything here needs it, so its absence is said before anything else fails)
except ModuleNotFoundError as error:
    print(f"Error: {missing_package(error)}", file=sys.stderr)
    raise SystemExit(2) from None
