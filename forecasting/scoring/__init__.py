"""Scores of published forecasts against the prices that arrived."""
