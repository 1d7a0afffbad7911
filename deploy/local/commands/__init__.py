"""What the targets of `make` do: one module per command or group of them."""
