"""The two resources: their models, labels, annotations and reasons.  Imports nothing of ours."""
