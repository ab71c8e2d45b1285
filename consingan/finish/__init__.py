"""What makes a picture of patches of another one, after a network has laid it out."""
