"""What published forecasts turned out to be worth."""
