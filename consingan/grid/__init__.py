"""Numbers on the pixel grid: sizes, ranges of values, resampling, windows, and noise as a function of position."""
