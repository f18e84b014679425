"""Terminal output that commands share: consoles, tables, progress displays and marks."""
