"""The template language: a prompt with tags and fields, read into parts.

`<Tag>{field}` is a domain span, `<Tag/>` a domain tag without data, `{field}` text for the LM's
tokenizer, `<{column}>` a tag named by a column, `<<` and `{{` the characters themselves.
"""

import re
from collections.abc import Mapping
from typing import NoReturn

import attrs

from taglm_core.errors import TemplateError

_TAG_NAME = re.compile(r"[A-Za-z][\w.+/@-]*")
_FIELD_NAME = re.compile(r"[A-Za-z_]\w*")


@attrs.frozen
class TextPart:
    """Words of the template itself."""

    text: str


@attrs.frozen
class FieldPart:
    """A field that the LM's tokenizer encodes."""

    field: str
    """Name of the field."""


@attrs.frozen
class TagName:
    """The name of a tag, or the column that names it row by row."""

    name: str
    """Tag as the template writes it, or the column."""
    is_column: bool = False
    """Whether `name` is the column that names the tag of each row."""

    def of(self, row: Mapping[str, str]) -> str:
        """Return the tag's name for one row."""
        return row[self.name] if self.is_column else self.name

    def __str__(self) -> str:
        return f"{{{self.name}}}" if self.is_column else self.name


@attrs.frozen
class SpanPart:
    """A domain span: a domain tag and the data that it announces."""

    tag: TagName
    """The domain tag."""
    field: str
    """Name of the field that holds the data."""


@attrs.frozen
class TagPart:
    """A domain tag without data."""

    tag: TagName
    """The domain tag."""


@attrs.frozen
class FunctionPart:
    """The function tag; the head reads its last row."""

    tag: str
    """Tag as the template writes it."""


@attrs.frozen
class OutputPart:
    """The text to be written after the function tag."""

    field: str
    """Name of the field that holds the text in training."""
    domain: TagName | None
    """Domain tag whose encoder reads and writes the text; None: the LM's tokenizer."""


Part = TextPart | FieldPart | SpanPart | TagPart | FunctionPart | OutputPart


@attrs.frozen
class Prompt:
    """A template that has been read."""

    text: str
    """The template as it was written."""
    parts: tuple[Part, ...]
    """Its parts in order."""

    @property
    def spans(self) -> tuple[SpanPart, ...]:
        """The domain spans in order."""
        return tuple(part for part in self.parts if isinstance(part, SpanPart))

    @property
    def domain_tags(self) -> tuple[TagName, ...]:
        """The distinct domain tags in order, those without data included."""
        tags = [part.tag for part in self.parts if isinstance(part, SpanPart | TagPart)]
        return tuple(dict.fromkeys(tags))

    @property
    def text_fields(self) -> tuple[str, ...]:
        """Fields that the LM's tokenizer encodes."""
        return tuple(
            dict.fromkeys(part.field for part in self.parts if isinstance(part, FieldPart))
        )

    @property
    def tag_columns(self) -> tuple[str, ...]:
        """Columns that name a tag."""
        return tuple(tag.name for tag in self.domain_tags if tag.is_column)

    @property
    def output(self) -> OutputPart | None:
        """The text to be written, None for a numeric task."""
        last = self.parts[-1]
        return last if isinstance(last, OutputPart) else None


@attrs.frozen
class _Token:
    kind: str  # "text", "tag" or "field"
    value: str
    start: int
    is_column: bool = False
    is_bare: bool = False


def parse_template(text: str, function_tag: str, is_text_output: bool = False) -> Prompt:
    """Read a template.

    Args:
        text: The template.
        function_tag: Name of the task's function tag, which must stand in it once.
        is_text_output: True when the task writes text: then a field ends the template, after the
            function tag; a domain tag may stand between the two. False: nothing but white space
            may follow the function tag.

    Raises:
        TemplateError: with a caret under the place.
    """
    tokens = _tokens(text)
    functions = [
        t for t in tokens if t.kind == "tag" and not t.is_column and _same(t, function_tag)
    ]
    if len(functions) != 1:
        at = functions[1].start if functions else len(text)
        count = "occurs twice" if functions else "is missing"
        _fail(text, at, f"the function tag <{function_tag}> {count}; write it once")
    parts: list[Part] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "text":
            parts.append(TextPart(token.value))
            index += 1
        elif token.kind == "field":
            parts.append(FieldPart(token.value))
            index += 1
        elif token is functions[0]:
            parts.append(FunctionPart(function_tag))
            return Prompt(text, tuple(_end(text, tokens[index + 1 :], parts, is_text_output)))
        else:
            index += _read_domain_tag(text, tokens, index, parts)
    raise AssertionError("unreachable: the function tag is among the tokens")


def _same(token: _Token, function_tag: str) -> bool:
    return token.value in (function_tag, function_tag.rpartition("/")[2])


def _read_domain_tag(text: str, tokens: list[_Token], index: int, parts: list[Part]) -> int:
    """Append the span or tag at `index`; return how many tokens it took."""
    token = tokens[index]
    tag = TagName(token.value, token.is_column)
    following = tokens[index + 1 : index + 3]
    if token.is_bare:
        parts.append(TagPart(tag))
        return 1
    if following and following[0].kind == "field":
        parts.append(SpanPart(tag, following[0].value))
        return 2
    spaced = (
        len(following) == 2
        and following[0].kind == "text"
        and following[0].value.isspace()
        and following[1].kind == "field"
    )
    if spaced:  # white space between tag and field belongs to the text before the tag
        parts.append(TextPart(following[0].value))
        parts.append(SpanPart(tag, following[1].value))
        return 3
    if following and following[0].kind == "tag":  # <{lang}><Translate>: announces the output
        parts.append(TagPart(tag))
        return 1
    _fail(
        text,
        token.start,
        f"the domain tag <{tag}> is not followed by a {{field}}; write <{tag}/> for the tag alone",
    )


def _end(text: str, rest: list[_Token], parts: list[Part], is_text_output: bool) -> list[Part]:
    written = [token for token in rest if token.kind != "text" or token.value.strip()]
    if is_text_output and len(written) > 1 and written[0].kind == "tag":
        announced = TagPart(TagName(written[0].value, written[0].is_column))
        parts, written = [*parts, announced], written[1:]
    fields = [token for token in written if token.kind == "field"]
    other = [token for token in written if token.kind != "field"]
    if not is_text_output:
        if fields or other:
            first = min([*fields, *other], key=lambda t: t.start)
            _fail(text, first.start, "nothing may follow the function tag of a numeric target")
        return parts
    if len(fields) != 1 or other:
        at = (other or fields[1:] or [_Token("", "", len(text))])[0].start
        _fail(text, at, "a text target needs exactly one {field} after the function tag")
    domain = next((part.tag for part in parts[:-3:-1] if isinstance(part, TagPart)), None)
    return [*parts, OutputPart(fields[0].value, domain)]


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    plain = ""
    plain_start = 0
    position = 0

    def flush() -> None:
        nonlocal plain
        if plain:
            tokens.append(_Token("text", plain, plain_start))
        plain = ""

    while position < len(text):
        char = text[position]
        if char in "<{" and text[position + 1 : position + 2] == char:
            plain_start = plain_start if plain else position
            plain += char
            position += 2
        elif char == "<":
            flush()
            token, position = _read_tag(text, position)
            tokens.append(token)
        elif char == "{":
            flush()
            name, end = _read_field(text, position)
            tokens.append(_Token("field", name, position))
            position = end
        else:
            plain_start = plain_start if plain else position
            plain += char
            position += 1
    flush()
    if not tokens:
        _fail(text, 0, "the template is empty")
    return tokens


def _read_tag(text: str, start: int) -> tuple[_Token, int]:
    end = text.find(">", start)
    if end < 0:
        _fail(text, start, "'<' opens a tag that no '>' closes; write '<<' for the character")
    inside = text[start + 1 : end]
    is_bare = inside.endswith("/")
    name = inside.removesuffix("/")
    if name.startswith("{") and name.endswith("}"):
        column = name[1:-1]
        if not _FIELD_NAME.fullmatch(column):
            _fail(text, start + 1, f"'{column}' is not a column name")
        return _Token("tag", column, start, is_column=True, is_bare=is_bare), end + 1
    if not _TAG_NAME.fullmatch(name):
        _fail(text, start + 1, f"'{name}' is not a tag name; write '<<' for the character '<'")
    return _Token("tag", name, start, is_bare=is_bare), end + 1


def _read_field(text: str, start: int) -> tuple[str, int]:
    end = text.find("}", start)
    if end < 0:
        _fail(text, start, "'{' opens a field that no '}' closes; write '{{' for the character")
    name = text[start + 1 : end]
    if not _FIELD_NAME.fullmatch(name):
        _fail(text, start + 1, f"'{name}' is not a field name; write '{{{{' for the character '{{'")
    return name, end + 1


def _fail(text: str, position: int, reason: str) -> NoReturn:
    """Raise with the template's line and a caret under the place."""
    before = text[:position]
    line_start = before.rfind("\n") + 1
    line = text[line_start:].split("\n", 1)[0]
    caret = " " * (position - line_start) + "^"
    raise TemplateError(f"malformed template: {reason}.\n  {line}\n  {caret}")
