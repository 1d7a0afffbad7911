"""What runs: each service with its command, its environment and its files, and how it is asked."""
