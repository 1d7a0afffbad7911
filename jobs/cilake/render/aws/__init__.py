"""The files that a lake on AWS is made with."""
