"""Exchange with other tools: tables and rows in common formats, the official toolkit's files, archives."""
