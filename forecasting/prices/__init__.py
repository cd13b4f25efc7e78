"""Before the model: sources, audit, price table."""
