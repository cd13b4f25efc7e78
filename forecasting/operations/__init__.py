"""What keeps it going: deadline, freshness, missing dates, retention."""
