"""The audit of prices: of rows as they arrive, of series as of a date, and of a source as a whole."""
