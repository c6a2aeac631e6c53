"""Backbone, tags, heads, assembly of rows, cache of common prefixes."""
