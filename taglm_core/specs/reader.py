"""A file format that a plugin reads as a table."""

import re
from collections.abc import Iterable
from typing import Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.specs.fields import reference

_WORD = re.compile(r"[a-z][a-z0-9]*")


def _as_words(value: "str | Iterable[str]") -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _word(instance: Any, attribute: Any, value: Any) -> None:
    words = (value,) if isinstance(value, str) else value
    for word in words:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ConfigError(
                f"Reader: {attribute.name} must be lower-case letters and digits without a dot, "
                f"such as 'sam', not {word!r}."
            )


@attrs.frozen(kw_only=True)
class Reader:
    """A file format that is read as a table wherever a table is read."""

    name: str = attrs.field(validator=_word)
    """Word of `--format`, and an extension of its files, such as "sam"."""
    read_batches: str = attrs.field(validator=reference)
    """`(path: Path, batch_size: int) -> Iterator[dict[column, list]]`: batches of at most
    `batch_size` rows, each with the same columns in the same order. A text format opens its file by
    `taglm_core.plugin.open_text`; `taglm_core.plugin.record_batches` makes batches of records. A
    reader of files that hold several tables also takes `sheet`, the name or number of one."""
    extensions: tuple[str, ...] = attrs.field(default=(), converter=_as_words, validator=_word)
    """Further extensions of such files, without the dot."""
    compressible: bool = True
    """True: such files may be compressed by gzip, `.gz` behind the extension."""
    description: str = ""
    """What a row is, and which columns there are; one sentence for listings."""
    example: str = ""
    """Text of a small file with two rows or more, which the contract suite reads; empty for binary
    formats."""

    @property
    def words(self) -> tuple[str, ...]:
        """All extensions, the name first."""
        return (self.name, *self.extensions)
