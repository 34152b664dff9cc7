"""Models behind somebody's HTTP API: one module a wire, and what all of them share."""
