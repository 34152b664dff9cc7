"""What comes from other tools and goes to them: tables and rows in common formats, the official toolkit's files, archives."""
