"""The template language."""

import pytest

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


def test_span_text_and_function_tag_are_read():
    """The usual template gives text, span, text and function tag."""
    read = parse_template("The molecule <SMILES>{smiles}. Its QED is <QED>", "QED")
    assert read.parts == (
        TextPart("The molecule "),
        SpanPart(TagName("SMILES"), "smiles"),
        TextPart(". Its QED is "),
        FunctionPart("QED"),
    )


def test_white_space_between_tag_and_field_goes_before_the_tag():
    """`<SMILES> {smiles}` is a span, and its blank belongs to the text before it."""
    read = parse_template("is <SMILES> {smiles}<QED>", "QED")
    assert read.parts[:3] == (
        TextPart("is "),
        TextPart(" "),
        SpanPart(TagName("SMILES"), "smiles"),
    )


def test_escapes_give_the_characters():
    """`<<` and `{{` stand for the characters themselves."""
    read = parse_template("a << b {{c} <T>", "T")
    assert read.parts[0] == TextPart("a < b {c} ")


def test_a_column_may_name_the_tag():
    """Languages: the tag's name comes from a column, the output's domain too."""
    read = parse_template("<{src}>{source} to <{tgt}><Translate>{target}", "Translate", True)
    assert read.parts[0] == SpanPart(TagName("src", True), "source")
    assert read.output == OutputPart("target", TagName("tgt", True))
    assert read.tag_columns == ("src", "tgt")


def test_the_tag_of_the_output_may_stand_after_the_function_tag():
    """The domain tag is then the last thing before the output; a head has no such place."""
    read = parse_template("<{src}>{source} <Translate><{tgt}>{target}", "Translate", True)
    assert read.parts[-3:] == (
        FunctionPart("Translate"),
        TagPart(TagName("tgt", True)),
        OutputPart("target", TagName("tgt", True)),
    )
    assert read.tag_columns == ("src", "tgt")
    with pytest.raises(TemplateError, match="nothing may follow"):
        parse_template("<{src}>{source} <Translate><{tgt}>", "Translate")
    for wrong in ("<T><{a}><{b}>{x}", "<T><{a}> and {x}", "<T>{x}<{a}>", "<T><{a}>"):
        with pytest.raises(TemplateError, match="exactly one"):
            parse_template(wrong, "T", True)


def test_a_bare_tag_and_plain_fields():
    """`<Tag/>` stands alone, a field without a tag is text for the tokenizer."""
    read = parse_template("<EN/> cell line {cell}<DC>", "DC")
    assert read.parts == (
        TagPart(TagName("EN")),
        TextPart(" cell line "),
        FieldPart("cell"),
        FunctionPart("DC"),
    )


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("<SMILES>{smiles", "opens a field", 8),
        ("ab <SMILES{smiles}<QED", "opens a tag", None),
        ("<SMILES>{smiles} is", "<QED> is missing", 19),
        ("<SMILES>{smiles}<QED> and <QED>", "occurs twice", 26),
        ("<SMILES> is <QED>", "not followed by a {field}", 0),
        ("<SMILES>{smiles}<QED> more", "nothing may follow", 21),
        ("<1a>{x}<QED>", "not a tag name", 1),
        ("{a b}<QED>", "not a field name", 1),
        ("", "is empty", 0),
    ],
)
def test_mistakes_are_shown_with_a_caret(text, reason, column):
    """Every mistake names its reason and points at its place."""
    with pytest.raises(TemplateError) as found:
        parse_template(text, "QED")
    message = str(found.value)
    assert reason in message
    if column is not None:
        assert message.splitlines()[-1] == "  " + " " * column + "^"


def test_the_caret_finds_its_line():
    """In a template of several lines the caret stands under the right one."""
    with pytest.raises(TemplateError) as found:
        parse_template("first line\nthen <QED> {x}", "QED")
    assert str(found.value).splitlines()[-2:] == ["  then <QED> {x}", "             ^"]
