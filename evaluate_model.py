"""Sample a trained model: the same command as ``consingan sample``."""

from consingan.command.cli import sample

if __name__ == "__main__":
    sample(prog_name="python evaluate_model.py")
