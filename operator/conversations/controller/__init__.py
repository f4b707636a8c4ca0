"""The operator: kopf is its shell, the reconcile loop its heart."""
