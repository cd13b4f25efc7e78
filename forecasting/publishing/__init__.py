"""After the model: contract, publishing, reading, charts, report."""
