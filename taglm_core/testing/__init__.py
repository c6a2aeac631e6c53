"""Tiny fixtures and contract checks for plugin authors and for the core's own tests."""

from taglm_core.testing.tiny import ARCHITECTURES, tiny_backbone, tiny_tokenizer

__all__ = ["ARCHITECTURES", "tiny_backbone", "tiny_tokenizer"]
