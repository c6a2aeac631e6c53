"""Reading YAML as it was meant: keys that stand twice and words that YAML 1.1 changes are named.

YAML 1.1 reads `no` as False, `010` as 8 and `1:30` as 90. Where a name or a number is expected,
that is an error with the line and what was read. `1e-4` is a number.
"""

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import attrs
import yaml

from taglm_core.errors import ConfigError

_STR, _BOOL, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "bool", "null"))
_DATE, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("timestamp", "int", "float"))
_MERGE = "tag:yaml.org,2002:merge"
_CHANGED = re.compile(r"[+-]?(0[0-7_]+|\d[\d_]*(:\d+)+(\.\d*)?)")
_MOST_DIGITS = 4000  # Python reads a few hundred more
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A loader that reads 1e-4 and 1.5e3 as numbers, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


@attrs.frozen
class _Found:
    """Something in a document that was not meant so."""

    line: int
    text: str


def load_yaml(text: str, source: str, kind: Any = Any, path: str = "", lines: bool = True) -> Any:
    """Read a YAML document.

    Args:
        text: The document.
        source: The file or the option, for messages.
        kind: The attrs class, or the type of the value, that the document fills: what is read as
            text there may not be changed by YAML.
        path: Dotted name of the document's place, for messages.
        lines: Whether messages name the line.

    Raises:
        ConfigError: when it is no YAML, or naming each key that stands twice and each word that
            needs quotes.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        found = [*_keys(node, set()), *_values(node, kind, path, False, set())]
        if found:
            where = [f"line {one.line}: {one.text}" if lines else one.text for one in found]
            raise ConfigError(f"{source}: " + "\n  ".join(where))
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML{_at(error)}") from error
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a 13th month
        raise ConfigError(f"{source}: a value cannot be read: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _at(error: yaml.YAMLError) -> str:
    """Return where a document is no YAML, and why, on one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return ": " + " ".join(str(error).split())
    why = ", ".join(filter(None, (getattr(error, n, None) for n in ("context", "problem"))))
    return f", line {mark.line + 1}, column {mark.column + 1}: {why}"


def kind_at(cls: type, keys: list[str]) -> Any:
    """Return the type of the setting at a dotted path; Any where there is none."""
    kind: Any = cls
    for key in keys:
        kind = _inner(kind, key)
    return kind


def _keys(node: yaml.Node, seen: set[int]) -> Iterator[_Found]:
    """Give every key that stands twice in a mapping, or that is no text."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(item, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield _Found(line, "a key must be a name.")
            continue
        if key.tag not in (_STR, _MERGE):
            yield _Found(line, _quotes("the key", key))
        if key.value in first and key.tag != _MERGE:
            yield _Found(
                line,
                f"duplicate key '{key.value}', first in line {first[key.value]}. Delete one of "
                "them; YAML would ignore the first.",
            )
        first.setdefault(key.value, line)
        yield from _keys(value, seen)


def _values(
    node: yaml.Node, kind: Any, path: str, in_list: bool, seen: set[int]
) -> Iterator[_Found]:
    """Give every value that YAML changes and that is meant as a name or a plain number."""
    if isinstance(node, yaml.ScalarNode):
        reason = _changed(node, kind, in_list)
        if reason:
            yield _Found(node.start_mark.line + 1, f"'{path}': {reason}" if path else reason)
        return
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        item_kind = _inner(kind, None)
        for item in node.value:
            yield from _values(item, item_kind, path, True, seen)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            below = f"{path}.{name}" if path else name
            yield from _values(value, _inner(kind, name), below, False, seen)


def _options(kind: Any) -> list[Any]:
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return [option for option in options if option is not types.NoneType]


def _inner(kind: Any, key: str | None) -> Any:
    """Return the type inside a type: of a key of a mapping, or of the items of a list."""
    for option in _options(kind):
        if attrs.has(option):
            fields = {field.name: field for field in attrs.fields(option)}
            field = fields.get(key or "")
            if field is None:
                return Any
            # a converter takes what YAML makes of its words, such as on and off
            return Any if field.converter is not None else field.type
        arguments = typing.get_args(option)
        if typing.get_origin(option) is tuple:
            return arguments[0]
        if typing.get_origin(option) is dict:
            return arguments[1]
    return Any


def _is_text(kind: Any) -> bool:
    """Say whether a scalar of this type is a name; one task may be given by its name alone."""
    return any(
        option is str
        or attrs.has(option)
        or (typing.get_origin(option) is tuple and _is_text(typing.get_args(option)[0]))
        for option in _options(kind)
    )


def _changed(node: yaml.ScalarNode, kind: Any, in_list: bool) -> str:
    """Say what YAML made of a word, when it is not what stands there."""
    if _SURROGATE.search(node.value):
        return f"{node.value!a} holds half of a character (a surrogate). Write the text again."
    if node.style is not None or node.tag == _STR:
        return ""
    is_name = _is_text(kind)
    word = node.value.lower()
    if node.tag == _BOOL:
        is_switch = bool in _options(kind) or (kind is Any and not in_list)
        is_plain = word in ("true", "false") and not is_name
        return "" if is_switch or is_plain else _quotes("", node)
    if node.tag == _NULL:
        return _quotes("", node) if is_name and in_list else ""
    if node.tag == _DATE:
        return _quotes("", node)
    if node.tag == _INT and len(node.value) > _MOST_DIGITS:
        return f"a whole number of {len(node.value)} digits cannot be read."
    if node.tag in (_INT, _FLOAT):
        is_other = _CHANGED.fullmatch(node.value) is not None
        if is_other or (is_name and _as_text(node) != node.value):
            return _quotes("", node)
    return ""


def _as_text(node: yaml.ScalarNode) -> str:
    """Return a scalar as the text that it would become."""
    loader = _Loader("")
    try:
        return str(loader.construct_document(node))
    except ValueError:  # more digits than Python reads, or a 13th month
        return "no value"
    finally:
        loader.dispose()


def _quotes(what: str, node: yaml.ScalarNode) -> str:
    shown = node.value if len(node.value) <= 40 else node.value[:37] + "..."
    lead = f"{what} {shown}" if what else shown or "nothing"
    kind = "the date " if node.tag == _DATE else ""
    return f'{lead} is read by YAML as {kind}{_as_text(node)}. Put it in quotes: "{shown}".'
