"""How a run looks in the terminal: progress, panels, coverage, one item."""
