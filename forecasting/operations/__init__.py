"""Keep a panel running: deadline, freshness, missing dates, retention and maintenance."""
