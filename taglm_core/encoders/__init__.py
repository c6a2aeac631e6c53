"""Tokenizer-free symbol encoders, and the LM-tokenizer text encoder."""

from taglm_core.encoders.symbols import Alphabet, alphabet_of, encode_checked, load_encoder
from taglm_core.encoders.text import TextEncoder

__all__ = ["Alphabet", "TextEncoder", "alphabet_of", "encode_checked", "load_encoder"]
