"""What a deployment elsewhere needs, rendered as files from a few names; standard library only."""
