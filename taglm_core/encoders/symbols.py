"""Checks and bookkeeping around a plugin's symbol encoder."""

import hashlib
import json
from collections.abc import Sequence

import attrs

from taglm_core.errors import PluginError
from taglm_core.specs import Domain, Encoded, Encoder
from taglm_core.specs.reference import resolve


@attrs.frozen
class Alphabet:
    """An encoder's ordered alphabet, as an artifact stores it."""

    symbols: tuple[str, ...]
    """The symbols in the order of their ids."""
    spellings: tuple[str, ...]
    """What the LM reads for each symbol, in the same order."""
    version: str
    """Version of the encoder, which changes whenever the same row gets other symbols."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides which row of the table a symbol has."""
        text = json.dumps([self.symbols, self.spellings, self.version], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_encoder(domain: Domain, name: str) -> Encoder:
    """Import a domain's symbol encoder and check its alphabet.

    Args:
        domain: A domain whose `encoder` is a reference.
        name: Full name of the domain, for messages.

    Raises:
        PluginError: when it cannot be imported or breaks the contract.
    """
    target = resolve(domain.encoder, f"{name}, encoder")
    encoder = target() if callable(target) else target
    missing = [
        part
        for part in ("symbols", "spellings", "version", "encode_batch", "decode")
        if not hasattr(encoder, part)
    ]
    if missing:
        raise PluginError(f"{name}: its encoder lacks {', '.join(missing)}.")
    check_alphabet(encoder, name)
    return encoder  # type: ignore[no-any-return]


def check_alphabet(encoder: Encoder, name: str) -> None:
    """Demand distinct symbols and as many distinct, non-empty spellings.

    Raises:
        PluginError: naming the first offender.
    """
    if len(encoder.symbols) != len(encoder.spellings):
        raise PluginError(
            f"{name}: {len(encoder.symbols)} symbols but {len(encoder.spellings)} spellings."
        )
    for what, words in (("symbol", encoder.symbols), ("spelling", encoder.spellings)):
        seen: set[str] = set()
        for word in words:
            if not word or word in seen:
                raise PluginError(f"{name}: the {what} {word!r} is empty or a duplicate.")
            seen.add(word)


def alphabet_of(encoder: Encoder) -> Alphabet:
    """Return what an artifact stores of an encoder."""
    return Alphabet(tuple(encoder.symbols), tuple(encoder.spellings), encoder.version)


def encode_checked(encoder: Encoder, rows: Sequence[str], name: str) -> Encoded:
    """Encode rows and check the shape of what came back.

    Raises:
        PluginError: when counts do not fit or an id lies outside the alphabet.
    """
    encoded = encoder.encode_batch(rows)
    if len(encoded.offsets) != len(rows) + 1 or len(encoded.errors) != len(rows):
        raise PluginError(
            f"{name}: encode_batch gave {len(encoded.offsets) - 1} rows for {len(rows)}."
        )
    if len(encoded.ids) and not 0 <= int(encoded.ids.min()) <= int(encoded.ids.max()) < len(
        encoder.symbols
    ):
        raise PluginError(f"{name}: encode_batch gave an id outside the alphabet.")
    return encoded
