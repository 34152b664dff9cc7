"""What a run looks like: progress, panels, coverage, one item."""
