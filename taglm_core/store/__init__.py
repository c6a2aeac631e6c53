"""Artifacts, the tag store and run folders on disk."""
