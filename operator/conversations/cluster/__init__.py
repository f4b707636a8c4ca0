"""The only Kubernetes I/O: connection, calls, reflector, workqueue, lease."""
