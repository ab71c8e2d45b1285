"""Whatever looks on: progress and log, event files, the live page, reports, comparisons."""
