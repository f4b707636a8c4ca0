"""Machinery shared by the tests and the bench: clusters, operators as processes, a faulty proxy."""
