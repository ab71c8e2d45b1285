"""Train on one picture: the same command as ``consingan train``."""

import sys

try:
    from consingan.__main__ import started
except KeyboardInterrupt:  # before the package could see to it
    sys.exit(130)

if __name__ == "__main__":
    started("train", "python main_train.py")
