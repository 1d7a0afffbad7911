"""Write, audit, publish: how what was built becomes what is read."""
