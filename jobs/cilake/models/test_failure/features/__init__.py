"""The features of a decision, by what they look at, and the table that they make together."""
