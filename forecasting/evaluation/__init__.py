"""Evaluation of forecasters on past prices: metrics, backtests and significance tests."""
