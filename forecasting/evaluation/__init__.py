"""What a forecaster would have been worth: metrics, backtest, tests."""
