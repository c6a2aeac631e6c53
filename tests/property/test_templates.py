"""The template parser reads back what was written, and refuses the rest with a place."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from taglm_core.errors import TemplateError
from taglm_core.specs.prompt import (
    FieldPart,
    FunctionPart,
    OutputPart,
    SpanPart,
    TagName,
    TagPart,
    TextPart,
    parse_template,
)

FUNCTION = "QED"
LETTERS = "abcxyzABC"
FIELDS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True)
TAGS = st.builds(
    TagName, st.from_regex(r"[A-Za-z][A-Za-z0-9_./+@-]{0,6}[a-z]", fullmatch=True)
).filter(lambda tag: FUNCTION != tag.name.rpartition("/")[2])
COLUMNS = st.builds(TagName, FIELDS, st.just(True))
ANY_TAG = st.one_of(TAGS, COLUMNS)
WORDS = st.text(st.sampled_from("ab <{}>/\n.é"), min_size=1, max_size=8)
PART = st.one_of(
    st.builds(TextPart, WORDS),
    st.builds(FieldPart, FIELDS),
    st.builds(SpanPart, ANY_TAG, FIELDS),
    st.builds(TagPart, ANY_TAG),
)


def written(part):
    """Return a part as a template writes it."""
    match part:
        case TextPart(text):
            return text.replace("<", "<<").replace("{", "{{")
        case FieldPart(field):
            return f"{{{field}}}"
        case SpanPart(tag, field):
            return f"<{tag}>{{{field}}}"
        case TagPart(tag):
            return f"<{tag}/>"
        case FunctionPart(tag):
            return f"<{tag}>"
        case OutputPart(field, _):
            return f"{{{field}}}"
    raise AssertionError(part)


def joined(parts):
    """Return parts with neighboring texts as one, as a reader cannot tell them apart."""
    made = []
    for part in parts:
        if made and isinstance(part, TextPart) and isinstance(made[-1], TextPart):
            part = TextPart(made.pop().text + part.text)
        made.append(part)
    return tuple(made)


@given(parts=st.lists(PART, max_size=8), after=st.sampled_from(["", " ", "\n"]))
def test_a_template_means_the_parts_that_it_was_written_from(parts, after):
    """Brackets in words are doubled, and nothing else is changed."""
    parts = [*parts, FunctionPart(FUNCTION)]
    prompt = parse_template("".join(map(written, parts)) + after, FUNCTION)
    assert prompt.parts == joined(parts)


@given(parts=st.lists(PART, max_size=5), tag=st.none() | ANY_TAG, field=FIELDS)
def test_the_output_of_a_text_task_knows_its_domain(parts, tag, field):
    """The domain tag right after the function tag announces the text to be written."""
    assume(not parts or not isinstance(parts[-1], TagPart))
    parts = [*parts, FunctionPart(FUNCTION)]
    announced = [TagPart(tag)] if tag is not None else []
    text = "".join(map(written, [*parts, *announced])) + written(OutputPart(field, tag))
    prompt = parse_template(text, FUNCTION, is_text_output=True)
    assert prompt.parts == (*joined(parts), *announced, OutputPart(field, tag))


@given(text=st.text(st.sampled_from("<>{}/QED ab\n"), max_size=20), is_text=st.booleans())
def test_any_text_is_read_or_refused_with_a_place(text, is_text):
    """No other exception, and the caret stands under the line that is shown."""
    try:
        prompt = parse_template(text, FUNCTION, is_text)
    except TemplateError as error:
        *_, line, caret = str(error).split("\n")
        assert line[2:] in text.split("\n")
        assert caret.strip() == "^"
        assert len(caret) - 1 <= len(line) + 1
        return
    assert sum(isinstance(part, FunctionPart) for part in prompt.parts) == 1
    again = parse_template("".join(map(written, prompt.parts)), FUNCTION, is_text)
    assert again.parts == prompt.parts


def test_the_check_of_the_caret_can_fail():
    """A malformed template is refused."""
    with pytest.raises(TemplateError, match="no '>' closes"):
        parse_template("<a", FUNCTION)
