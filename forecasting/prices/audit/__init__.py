"""The audit: what is wrong with prices, row by row as they come in and series by series as of a date."""
