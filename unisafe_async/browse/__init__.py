"""Looking at single responses: what is read of them, how they are drawn, and the browser."""
