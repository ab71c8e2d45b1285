"""What a trained model, or the picture alone, can do: one file an application."""
