"""What people look at: charts, report, summaries."""
