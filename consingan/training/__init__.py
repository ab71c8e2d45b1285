"""Training: one iteration, its state, the loop, and what plans, guards and ends it."""
