"""Numbers on the pixel grid: resampling, windows and what they depend on, noise as a function of position."""
