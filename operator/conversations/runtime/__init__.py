"""The only pod I/O: one module per protocol that a runtime speaks."""
