"""Train on one picture: the same command as ``consingan train``."""

from consingan.__main__ import started

if __name__ == "__main__":
    started("train", "python main_train.py")
