"""From sentences in several languages to translation rows: directions, filters, splits, order."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations, zip_longest
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import ConfigError, DataError
from taglm_core.plugin import parse_splits, splits_by_groups
from taglm_translation.buckets import sentence_key
from taglm_translation.languages import Language, get
from taglm_translation.sentences import Sentence

logger = logging.getLogger(__name__)

COLUMNS = ("id", "src_lang", "source", "tgt_lang", "target", "split")
"""Columns of translation rows."""

_RATIO_FROM = 20
"""Characters from which the lengths of two sides are compared."""

Direction = tuple[str, str]


@attrs.frozen(kw_only=True)
class Pairing:
    """Which rows are made of sentences; all lengths in characters."""

    languages: tuple[str, ...] = ()
    """Languages that are used; empty: all that the data have."""
    directions: tuple[str, ...] = ("all",)
    """"all", or directions such as "en-fr"; "en=fr" means both ways."""
    test_directions: tuple[str, ...] | None = None
    """Directions of the test split; None: those of training."""
    per_direction: int | None = None
    """Most training rows of a direction, drawn by the seed; None: all."""
    test_per_direction: int | None = None
    """Most rows of a direction in each of the validation and test splits; None: all."""
    min_chars: int = 1
    """Shortest side."""
    max_chars: int = 300
    """Longest side."""
    max_ratio: float = 3.0
    """Most times that one side may be longer than the other, from 20 characters on."""
    check_script: bool = True
    """Leave out sides of which less than half of the letters are of the language's script."""
    allow_equal: bool = False
    """False: rows whose two sides are equal are skipped."""


def pairing(options: Mapping[str, Any]) -> Pairing:
    """Read options as a run file gives them.

    Raises:
        ConfigError: naming an unknown one.
    """
    known = {field.name for field in attrs.fields(Pairing)}
    for name in options:
        if name not in known:
            raise ConfigError(
                f"data.options.{name} is unknown here; known: {', '.join(sorted(known))}."
            )
    values = dict(options)
    for name in ("languages", "directions", "test_directions"):
        value = values.get(name)
        if value is not None:
            words = value.replace(",", " ").split() if isinstance(value, str) else value
            values[name] = tuple(map(str, words))
    return Pairing(**values)


def read_directions(words: Sequence[str], available: Sequence[str]) -> list[Direction]:
    """Read directions; "all" means every ordered pair of the available languages.

    Raises:
        ConfigError: for a word that is no direction, or a language that the data lack.
    """
    directions: dict[Direction, None] = {}
    for word in words:
        if word.lower() == "all":
            directions |= dict.fromkeys(permutations(available, 2))
            continue
        sign = "=" if "=" in word else "-"
        left, _, right = word.partition(sign)
        if not (left and right):
            raise ConfigError(f"direction {word!r}: write en-fr, or en=fr for both ways, or all.")
        pair = (get(left, f"direction {word}").tag, get(right, f"direction {word}").tag)
        for tag in pair:
            if tag not in available:
                raise ConfigError(
                    f"direction {word}: the data hold no {tag}; they hold {', '.join(available)}."
                )
        directions[pair] = None
        if sign == "=":
            directions[pair[::-1]] = None
    return list(directions)


def make_rows(
    sentences: Sequence[Sentence], how: Pairing, seed: int, size: int | None, source: str
) -> dict[str, list[str]]:
    """Make translation rows, directions interleaved, and log what was skipped.

    A sentence lies in one split for all languages. Training rows that share a text with a
    validation or test row, in either language, are skipped.

    Args:
        sentences: Sentences in several languages.
        how: Directions and filters.
        seed: Draws rows where there are more than wanted.
        size: Most training rows in all; None: no limit.
        source: For messages.

    Returns:
        `COLUMNS`, `(rows,)` each.

    Raises:
        DataError: when nothing is left.
    """
    wanted = [get(code, "data.options.languages").tag for code in how.languages]
    tags = dict.fromkeys(tag for s in sentences for tag in s.texts)
    available = [tag for tag in tags if not wanted or tag in wanted]
    directions = read_directions(how.directions, available)
    tested = (
        directions
        if how.test_directions is None
        else read_directions(how.test_directions, available)
    )
    left_out: Counter[str] = Counter()
    splits = _splits(sentences, source)
    checks = {tag: get(tag, source) for tag in available}
    fine = [_usable(sentence, checks, how, left_out) for sentence in sentences]
    rows_of: dict[str, dict[Direction, list[list[str]]]] = {}
    for split, among in (("test", tested), ("valid", directions), ("train", directions)):
        chosen = [i for i, name in enumerate(splits) if name == split]
        rows_of[split] = {
            d: _rows_of(d, chosen, sentences, fine, split, how, left_out) for d in among
        }
    _leave_out_shared(rows_of, left_out)
    rng = np.random.default_rng([seed, 11])
    rows: list[list[str]] = []
    for split, by_direction in rows_of.items():
        limit = how.per_direction if split == "train" else how.test_per_direction
        drawn = [_drawn(group, limit, rng) for group in by_direction.values()]
        woven = [row for turn in zip_longest(*drawn) for row in turn if row is not None]
        rows += woven[:size] if split == "train" else woven
    _report(source, len(sentences), rows, left_out)
    return {name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}


def _splits(sentences: Sequence[Sentence], source: str) -> list[str]:
    """Return the data's own splits, or those of the fixed buckets."""
    own = [sentence.split for sentence in sentences]
    if all(own) and own:
        return parse_splits(own, range(1, len(own) + 1), source, "split")
    return splits_by_groups([sentence_key(s.texts, s.id) if s.texts else s.id for s in sentences])


def _usable(
    sentence: Sentence, checks: Mapping[str, Language], how: Pairing, left_out: Counter[str]
) -> dict[str, str]:
    """Return the texts of a sentence that pass the filters of one side."""
    fine: dict[str, str] = {}
    for tag, language in checks.items():
        text = sentence.texts.get(tag)
        if text is None:
            continue
        if not how.min_chars <= len(text) <= how.max_chars:
            left_out[f"{tag} outside {how.min_chars} to {how.max_chars} characters"] += 1
        elif how.check_script and not is_in_script(text, language.script):
            left_out[f"{tag} not in {language.script.title()} script"] += 1
        else:
            fine[tag] = text
    return fine


def is_in_script(text: str, script: str) -> bool:
    """Say whether at least half of a text's letters are of a script; "" asks nothing."""
    letters = [char for char in text if char.isalpha()]
    if not script or not letters:
        return True
    own = sum(unicodedata.name(char, "").startswith(script) for char in letters)
    return 2 * own >= len(letters)


def _rows_of(
    direction: Direction,
    chosen: Sequence[int],
    sentences: Sequence[Sentence],
    fine: Sequence[Mapping[str, str]],
    split: str,
    how: Pairing,
    left_out: Counter[str],
) -> list[list[str]]:
    """Return the rows of one direction and split, equal ones once."""
    src, tgt = direction
    rows: dict[Direction, list[str]] = {}
    for i in chosen:
        a, b = fine[i].get(src), fine[i].get(tgt)
        if a is None or b is None:
            continue
        longer, shorter = max(len(a), len(b)), max(1, min(len(a), len(b)))
        if a == b and not how.allow_equal:
            left_out["both sides equal"] += 1
        elif longer >= _RATIO_FROM and longer > how.max_ratio * shorter:
            left_out[f"one side more than {how.max_ratio:g} times longer"] += 1
        elif (a, b) in rows:
            left_out["repeated rows"] += 1
        else:
            rows[a, b] = [sentences[i].id, src, a, tgt, b, split]
    return list(rows.values())


def _leave_out_shared(
    rows_of: dict[str, dict[Direction, list[list[str]]]], left_out: Counter[str]
) -> None:
    """Leave out of each split the rows that share a text with a split before it."""
    seen: set[tuple[str, str]] = set()
    for split, by_direction in rows_of.items():
        for direction, rows in by_direction.items():
            unshared = [r for r in rows if (r[1], r[2]) not in seen and (r[3], r[4]) not in seen]
            left_out[f"{split} rows sharing a text with another split"] += len(rows) - len(unshared)
            by_direction[direction] = unshared
        seen |= {side for rows in by_direction.values() for r in rows for side in _sides(r)}


def _sides(row: Sequence[str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return (row[1], row[2]), (row[3], row[4])


def _drawn(rows: list[list[str]], limit: int | None, rng: np.random.Generator) -> list[list[str]]:
    order = rng.permutation(len(rows))[:limit]
    return [rows[i] for i in order]


def _report(
    source: str, num_sentences: int, rows: Sequence[Sequence[str]], left_out: Mapping[str, int]
) -> None:
    if not rows:
        raise DataError(
            f"{source}: no translation rows are left of {num_sentences} sentences "
            f"({_counted(left_out) or 'no sentence has two of the languages'}). Loosen "
            "data.options, or give other directions."
        )
    counts = Counter(row[5] for row in rows)
    directions = len({(row[1], row[3]) for row in rows})
    logger.info(
        "%s: %d sentences give %d train, %d valid, %d test rows in %d directions; skipped: %s",
        source,
        num_sentences,
        counts["train"],
        counts["valid"],
        counts["test"],
        directions,
        _counted(left_out) or "nothing",
    )


def _counted(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
