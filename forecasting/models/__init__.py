"""Models, from bars to quantiles: windows, baselines, networks, training and the registry."""
