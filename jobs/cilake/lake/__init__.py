"""The lake: the only code that knows the table format and the Spark session."""
