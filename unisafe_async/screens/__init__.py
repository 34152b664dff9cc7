"""What a run looks like in a terminal: progress, panels, coverage, comparisons, lists."""
