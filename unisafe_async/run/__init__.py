"""One run: what it will send, its pipeline from items to rows, and who takes part in it."""
