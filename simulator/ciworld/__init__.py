"""ciworld: a deterministic CI universe, or recordings of real ones, behind the APIs of real CI services."""
