"""Simulated markets: the price paths on which the default network is pretrained."""
