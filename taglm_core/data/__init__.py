"""Readers, writers, row checks, splits and metrics."""
