"""How good a forecast is: metrics, backtest, gate."""
