"""From bars to quantiles: windows, baselines, networks, training, registry."""
