"""What must be true of every table, and the check of it before anything is published."""
