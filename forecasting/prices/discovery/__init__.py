"""Discovery: look at prices and find out how a panel must describe them."""
