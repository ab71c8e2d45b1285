"""Train on one picture: the same command as ``consingan train``."""

from consingan.command.cli import train

if __name__ == "__main__":
    train(prog_name="python main_train.py")
