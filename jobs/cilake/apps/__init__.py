"""Apps: the verbs, the only place where reading, work and writing meet."""
