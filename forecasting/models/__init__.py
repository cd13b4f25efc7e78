"""What turns windows into quantiles: baselines and networks."""
