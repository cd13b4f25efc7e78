"""A forecast in the store: write, commit, read."""
