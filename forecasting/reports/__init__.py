"""Charts, report pages and summaries for people."""
