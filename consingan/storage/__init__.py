"""What lies on the disk: whole files, the formats of pictures, numbered checkpoints, results, the run folder."""
