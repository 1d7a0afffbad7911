"""What keeps the services running, and ends what they leave behind."""
