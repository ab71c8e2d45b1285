"""What lies on the disk: files that are whole or not there, numbered checkpoints, the run folder."""
