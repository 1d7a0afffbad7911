"""ciworld: a deterministic CI universe behind the APIs of real CI services."""
