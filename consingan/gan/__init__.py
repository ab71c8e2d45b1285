"""The model: networks, objectives, schedule, and the single-image model they make up."""
