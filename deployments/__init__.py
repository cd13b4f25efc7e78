"""Deployments: what runs when and where, and the command line."""
