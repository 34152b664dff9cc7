"""Shows single responses: reads rows, draws them, and runs the browser."""
