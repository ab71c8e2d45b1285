"""Sample a trained model: the same command as ``consingan sample``."""

import sys

try:
    from consingan.__main__ import started
except KeyboardInterrupt:  # before the package could see to it
    sys.exit(130)

if __name__ == "__main__":
    started("sample", "python evaluate_model.py")
