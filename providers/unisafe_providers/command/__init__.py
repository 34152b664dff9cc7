"""A model in an environment of its own: a command that reads requests and writes answers, one JSON object on each line."""
