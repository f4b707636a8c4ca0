"""Faces for OpenHands: the only package that imports it."""
