"""Checks of symbol encoders."""

import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.encoders import load_encoder
from taglm_core.encoders.symbols import encode_checked
from taglm_core.specs import Encoded
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule

FOREIGN = ("\u2603", "\u00a4", "\x01")
"""Characters that hardly any alphabet holds: a snowman, a currency sign, a control character."""
ODD = (
    "",
    " ",
    "\n",
    "\t",
    "\x00",
    "\u2603",
    "\U0001f9ec",
    "e\u0301",
    "A" * 5000,
    " A",
    "A ",
    "a\nb",
)
"""Rows that a file may hold all the same."""
FLOOR = 100_000
"""Slowest speed in characters a second of processor time; a plain Python loop is ten times
faster."""
_SPEED_CHARACTERS = 50_000


def alphabet(subject: Subject) -> None:
    """Symbols and spellings are as many, not empty, and no two are alike; `version` is text."""
    encoder = subject.context.encoder(subject.item)
    demand(len(encoder.symbols) > 0, "the alphabet is empty; list its symbols in `symbols`.")
    demand(
        isinstance(encoder.version, str) and bool(encoder.version),
        f"`version` is {encoder.version!r}; write text such as '1', and change it whenever a row "
        "would be encoded otherwise.",
    )


def layout(subject: Subject) -> None:
    """`encode_batch` gives int32 ids, int64 offsets from 0 to the end, and one error a row."""
    rows = subject.context.rows(subject.item)
    for batch in (rows, []):
        encoded = _encode(subject, batch)
        for name, wanted in (("ids", np.int32), ("offsets", np.int64)):
            dtype = getattr(getattr(encoded, name), "dtype", type(getattr(encoded, name)))
            demand(
                dtype == wanted,
                f"`{name}` is {dtype}; make it numpy {wanted.__name__}, also for no rows.",
            )
        offsets = encoded.offsets
        demand(
            int(offsets[0]) == 0
            and int(offsets[-1]) == len(encoded.ids)
            and bool((np.diff(offsets) >= 0).all()),
            f"`offsets` must rise from 0 to the number of ids ({len(encoded.ids)}); it goes from "
            f"{int(offsets[0])} to {int(offsets[-1])}.",
        )


def round_trip(subject: Subject) -> None:
    """Decoding gives back every row that was encoded, character for character."""
    rows = subject.context.sample(subject.item)
    demand(
        bool(rows),
        "there is no row to try. Give the domain a corpus, or register a dataset with the column "
        f"'{subject.spec.field}'.",
    )
    encoder = subject.context.encoder(subject.item)
    encoded = _encode(subject, rows)
    for place, row in enumerate(rows):
        error = encoded.errors[place]
        demand(
            error is None,
            f"the row {_short(row)} of the domain's own data cannot be encoded: {error}. Extend "
            "the alphabet, or have `canonical` return an error for the row.",
        )
        back = encoder.decode(_piece(encoded, place).tolist())
        demand(
            _same(row, back),
            f"{_short(row)} comes back as {_short(back)}. `decode` must undo `encode_batch` "
            "exactly; what cannot be kept must be an error.",
        )


def symbol_strings(subject: Subject) -> None:
    """Any string of symbols either comes back exactly or is an error."""
    encoder = subject.context.encoder(subject.item)
    rng = np.random.default_rng(1)
    drawn = [[k] for k in range(len(encoder.symbols))]
    drawn += [rng.integers(0, len(encoder.symbols), size=12).tolist() for _ in range(100)]
    rows = [encoder.decode(ids) for ids in drawn]
    encoded = _encode(subject, rows)
    for place, row in enumerate(rows):
        if encoded.errors[place] is None:
            back = encoder.decode(_piece(encoded, place).tolist())
            demand(
                back == row,
                f"{_short(row)} comes back as {_short(back)}. Where two symbols read as a third "
                "one, `encode_batch` must choose so that the text is kept.",
            )


def deterministic(subject: Subject) -> None:
    """The same rows give the same ids, from the same encoder and from a new one."""
    rows = subject.context.rows(subject.item)
    first = _encode(subject, rows)
    another = load_encoder(subject.spec, subject.item.name)
    for again in (_encode(subject, rows), encode_checked(another, rows, subject.item.name)):
        demand(
            np.array_equal(first.ids, again.ids)
            and np.array_equal(first.offsets, again.offsets)
            and list(first.errors) == list(again.errors),
            "encoding the same rows twice gives different ids. Nothing in `encode_batch` may be "
            "random or depend on earlier calls, nor the order of `symbols` on a set.",
        )


def batch_equals_single(subject: Subject) -> None:
    """A row is encoded the same alone as among others, bad ones included."""
    rows = _mixed(subject, subject.context.rows(subject.item)[:20])
    together = _encode(subject, rows)
    for place, row in enumerate(rows):
        alone = _encode(subject, [row])
        demand(
            np.array_equal(_piece(together, place), alone.ids)
            and together.errors[place] == alone.errors[0],
            f"{_short(row)} is encoded otherwise in a batch than alone. Look at the offsets after "
            "a row with an error, which has no ids.",
        )


def odd_input(subject: Subject) -> None:
    """Empty and odd rows never raise: each is an error without ids, or comes back exactly."""
    encoder = subject.context.encoder(subject.item)
    width = len(subject.spec.columns)
    rows: list[Any] = [(odd,) * width for odd in ODD] if width else list(ODD)
    encoded = _encode(subject, rows)
    for place, row in enumerate(rows):
        piece, error = _piece(encoded, place), encoded.errors[place]
        if error is not None:
            demand(
                len(piece) == 0,
                f"{_short(row)} has an error and {len(piece)} ids; a row with an error has none.",
            )
            demand(bool(error.strip()), f"{_short(row)} has an empty error; say what is wrong.")
            continue
        back = encoder.decode(piece.tolist())
        demand(
            _same(row, back),
            f"{_short(row)} is encoded without an error but comes back as {_short(back)}. Give it "
            "an error, or keep every character.",
        )


def unknown_symbol(subject: Subject) -> None:
    """A character outside the alphabet is an error that names it and its place, from 1."""
    rows = [row for row in subject.context.rows(subject.item) if _text(row)][:5]
    encoder = subject.context.encoder(subject.item)
    for row in rows:
        text = _text(row)
        for foreign in FOREIGN:
            for place in {0, len(text) // 2, len(text)}:
                odd = _with_text(row, text[:place] + foreign + text[place:])
                encoded = _encode(subject, [odd])
                error = encoded.errors[0]
                if error is None:
                    back = encoder.decode(encoded.ids.tolist())
                    demand(_same(odd, back), _silent(odd, foreign, back))
                    continue
                is_named = foreign in error or repr(foreign)[1:-1] in error
                demand(
                    is_named,
                    f"the error of {_short(odd)} does not name the unknown symbol {foreign!r}: "
                    f'{error!r}. Write for example "unknown symbol {foreign!r} at position '
                    f'{place + 1}".',
                )
                demand(
                    re.search(rf"(?<!\d){place + 1}(?!\d)", error) is not None,
                    f"the error of {_short(odd)} does not name position {place + 1} (counted from "
                    f"1): {error!r}.",
                )


def length_bound(subject: Subject) -> None:
    """A row has at most one symbol for each byte of its text, and two more."""
    rows = subject.context.rows(subject.item)
    encoded = _encode(subject, rows)
    for place, row in enumerate(rows):
        parts = row if isinstance(row, tuple) else (row,)
        bound = sum(len(str(part).encode()) + 1 for part in parts) + 1
        count = len(_piece(encoded, place))
        demand(
            count <= bound,
            f"{_short(row)} has {count} symbols, more than the {bound} that its text allows. Every "
            "symbol costs time and memory: let one symbol represent at least one character.",
        )


def speed(subject: Subject) -> None:
    """Encoding reads at least 100,000 characters a second."""
    rows = subject.context.rows(subject.item)
    characters = sum(len(_text(row)) for row in rows) or 1
    batch = list(rows) * max(1, _SPEED_CHARACTERS // characters)
    characters = sum(len(_text(row)) for row in batch) or 1
    seconds = min(_timed(subject, batch) for _ in range(3))
    rate = characters / max(seconds, 1e-9)
    demand(
        rate >= FLOOR,
        f"`encode_batch` reads {rate:,.0f} characters a second, fewer than {FLOOR:,}. Look symbols "
        "up in a dictionary or an array made once, and work on the whole batch.",
    )


def embeddings(subject: Subject) -> None:
    """No two symbols get the same embedding from a byte-level tokenizer."""
    import torch

    from taglm_core.model.symbols import symbol_rows
    from taglm_core.testing.tiny import tiny_backbone

    encoder = subject.context.encoder(subject.item)
    rows = symbol_rows(tiny_backbone(), tuple(encoder.spellings))
    distances = torch.cdist(rows, rows) + torch.eye(len(rows)) * 1e9
    first, second = divmod(int(distances.argmin()), len(rows))
    demand(
        len(rows) < 2 or float(distances.min()) > 1e-4,
        f"the symbols {encoder.symbols[first]!r} and {encoder.symbols[second]!r} get the same "
        f"embedding, since their spellings {encoder.spellings[first]!r} and "
        f"{encoder.spellings[second]!r} read alike. Spell one of them otherwise.",
    )


CHECKS = (
    Rule(alphabet),
    Rule(layout),
    Rule(round_trip),
    Rule(symbol_strings, applies=lambda subject: not subject.spec.columns),
    Rule(deterministic),
    Rule(batch_equals_single),
    Rule(odd_input),
    Rule(unknown_symbol),
    Rule(length_bound),
    Rule(speed),
    Rule(embeddings),
)


def _encode(subject: Subject, rows: Sequence[Any]) -> Encoded:
    return encode_checked(subject.context.encoder(subject.item), rows, subject.item.name)


def _piece(encoded: Encoded, place: int) -> np.ndarray:
    piece: np.ndarray = encoded.ids[encoded.offsets[place] : encoded.offsets[place + 1]]
    return piece


def _timed(subject: Subject, rows: Sequence[Any]) -> float:
    start = time.process_time()
    _encode(subject, rows)
    return time.process_time() - start


def _mixed(subject: Subject, rows: Sequence[Any]) -> list[Any]:
    """Put a row with an error between the others."""
    mixed: list[Any] = []
    for row in rows:
        mixed += [row, _with_text(row, _text(row) + FOREIGN[0]), _with_text(row, "")]
    return mixed


def _text(row: Any) -> str:
    """Return the row's text, of several columns that of the first."""
    return str(row[0]) if isinstance(row, tuple) else str(row)


def _with_text(row: Any, text: str) -> Any:
    return (text, *row[1:]) if isinstance(row, tuple) else text


def _same(row: Any, back: Any) -> bool:
    """Say whether `back` is the row; of several columns, or their texts in order."""
    if not isinstance(row, tuple) or isinstance(back, tuple | list):
        return bool(back == row) or (isinstance(row, tuple) and tuple(back) == row)
    place = 0
    for part in row:
        position = str(back).find(part, place)
        if position < 0:
            return False
        place = position + len(part)
    return True


def _silent(row: Any, foreign: str, back: Any) -> str:
    return (
        f"{_short(row)} holds {foreign!r}, is encoded without an error and comes back as "
        f'{_short(back)}. Nothing may be dropped silently: give the row the error "unknown symbol '
        f'{foreign!r} at position ...".'
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
