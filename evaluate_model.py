"""Sample a trained model: the same command as ``consingan sample``."""

from consingan.__main__ import started

if __name__ == "__main__":
    started("sample", "python evaluate_model.py")
