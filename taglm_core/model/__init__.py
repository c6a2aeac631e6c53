"""Backbone, tags, heads, assembly of rows, constant-prefix reuse."""
