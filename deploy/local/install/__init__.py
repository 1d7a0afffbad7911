"""What is installed: environments, verified artifacts, and the choice of Java."""
