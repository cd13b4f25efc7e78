"""What runs, when and where: panels, settings and the command line."""
