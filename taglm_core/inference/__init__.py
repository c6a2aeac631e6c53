"""Predicting, scoring and what both need."""
