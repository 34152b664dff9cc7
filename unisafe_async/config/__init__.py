"""bench.toml: its sections, what goes together, and what is said when a key is wrong."""
