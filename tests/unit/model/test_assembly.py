"""The invariants of assembly and of the tagged forward (design section 4)."""

import numpy as np
import pytest
import torch

from taglm_core.encoders import TextEncoder
from taglm_core.model.assembly import Assembler
from taglm_core.model.collate import collate
from taglm_core.model.prefix_cache.whole_prefixes import WholePrefixes
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.specs import Encoded
from taglm_core.specs.prompt import parse_template
from taglm_core.testing import ARCHITECTURES, tiny_backbone

TEMPLATE = "The string is <Letters>{letters}. Its value is <Value>"
ROWS = {"letters": ["abba", "c", "abcabcabcabc", "bb"]}


class LettersEncoder:
    """A three-letter alphabet."""

    symbols = ("a", "b", "c")
    spellings = ("a", "b", "c")
    version = "1"

    def encode_batch(self, rows):
        """Encode; other letters are errors."""
        errors = [None if row and set(row) <= set("abc") else "bad letter" for row in rows]
        good = ["" if error else row for row, error in zip(rows, errors, strict=True)]
        ids = np.array(["abc".index(char) for row in good for char in row], dtype=np.int32)
        return Encoded(ids, np.cumsum([0, *map(len, good)]), errors)

    def decode(self, ids):
        """Join the letters."""
        return "".join("abc"[i] for i in ids)


def build(architecture="llama", isolated=False, adds_bos=False, template=TEMPLATE):
    """Return a model with a domain tag, a function tag and an assembler."""
    backbone = tiny_backbone(architecture, adds_bos=adds_bos)
    model = TaggedModel(backbone)
    encoder = LettersEncoder()
    model.add_table("t/Letters", symbol_rows(backbone, encoder.spellings))
    for name in ("t/Letters", "t/Value"):
        model.add_tag(name, initial_tag(backbone, name, 5, "vocabulary", 0))
    assembler = Assembler(
        layout=model.layout,
        prompt=parse_template(template, "Value", "{answer}" in template),
        text=TextEncoder(backbone.tokenizer),
        encoders={"t/Letters": encoder},
        domain_of={"Letters": "t/Letters"},
        tag_of={"Letters": "t/Letters"},
        function_tag="t/Value",
        bos_ids=backbone.bos_ids,
        is_isolated=isolated,
    )
    return model, assembler


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_tags_the_result_is_plain_tokenisation(architecture):
    """A template without domain tags runs the very tokens of its text."""
    model, _ = build(architecture)
    backbone = model.backbone
    assembler = Assembler(
        layout=model.layout,
        prompt=parse_template("Say {word} twice.<Value>", "Value"),
        text=TextEncoder(backbone.tokenizer),
        encoders={},
        domain_of={},
        tag_of={},
        function_tag="t/Value",
    )
    rows = assembler.assemble({"word": ["hello"]})
    plain = backbone.tokenizer("Say hello twice.", return_tensors="pt")["input_ids"]
    assert rows.ids[0][: rows.suffix[0]].tolist() == plain[0].tolist()
    batch = collate(rows, [0], False, only="prefix")
    with torch.no_grad():
        ours = backbone.logits(model.hidden_states(batch))
        theirs = backbone.model(input_ids=plain).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_row_is_the_same_alone_and_in_any_batch(architecture, side, isolated):
    """Padding, on either side, never leaks into a row."""
    model, assembler = build(architecture, isolated)
    rows = assembler.assemble(ROWS)
    with torch.no_grad():
        together = model.read(collate(rows, range(4), isolated, side=side))
        for i in range(4):
            alone = model.read(collate(rows, [i], isolated))
            torch.testing.assert_close(together[i], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cached_prefixes_give_the_full_result(architecture, isolated):
    """A function tag on a kept prefix reads what the whole row gives, also beyond the budget."""
    model, assembler = build(architecture, isolated)
    rows = assembler.assemble(ROWS)
    with torch.no_grad():
        full = model.read(collate(rows, range(4), isolated))
        for budget in (10**9, 30_000, 0):
            store = WholePrefixes(model, rows, isolated, budget)
            suffix = collate(rows, range(4), isolated, only="suffix")
            states = model.suffix_states(suffix, store.gather(range(4)))
            torch.testing.assert_close(states[:, -1], full, rtol=1e-4, atol=1e-4)
        assert store.num_cached == 0


def test_the_budget_keeps_a_part_of_the_rows():
    """A small budget keeps some prefixes and stays within its bytes."""
    model, assembler = build()
    rows = assembler.assemble(ROWS)
    whole = WholePrefixes(model, rows, False, 10**9)
    part = WholePrefixes(model, rows, False, whole.num_bytes // 2)
    assert 0 < part.num_cached < 4
    assert part.num_bytes <= whole.num_bytes // 2


def test_isolation_hides_the_text_before_a_span():
    """In isolated mode a span's states do not depend on the words before it; in causal they do."""
    for isolated, expected in ((True, True), (False, False)):
        model, assembler = build("llama", isolated)
        import attrs

        other = attrs.evolve(
            assembler, prompt=parse_template(TEMPLATE.replace("string", "STRING"), "Value")
        )
        found = []
        for one in (assembler, other):
            rows = one.assemble({"letters": ["abba"]})
            with torch.no_grad():
                states = model.hidden_states(collate(rows, [0], isolated))[0]
            found.append(states[torch.from_numpy(rows.spans[0] == 1)])
        assert torch.allclose(found[0], found[1], atol=1e-5) is expected


def test_gradients_reach_exactly_what_is_trained():
    """Freezing is by name: only the function tag moves, the backbone stays bit-identical."""
    model, assembler = build()
    before = model.backbone.checksum()
    model.train_only([model.tags["t/Value"]])
    rows = assembler.assemble(ROWS)
    model.read(collate(rows, range(4), False)).square().sum().backward()
    assert model.tags["t/Value"].grad.abs().sum() > 0
    assert model.tags["t/Letters"].grad is None
    assert model.tables["t/Letters"].grad is None
    assert all(p.grad is None for p in model.backbone.model.parameters())
    assert model.backbone.checksum() == before


def test_a_bos_begins_the_row_and_each_isolated_span():
    """A backbone with BOS gets it as the span's own first row, where the span is isolated."""
    for isolated, count in ((False, 1), (True, 2)):
        _, assembler = build(isolated=isolated, adds_bos=True)
        row = assembler.assemble({"letters": ["ab"]}).ids[0]
        assert (row == 258).sum() == count
        assert row[0] == 258


def test_the_read_index_is_found_per_row():
    """Rows of different length are read at their own last function-tag row."""
    _, assembler = build()
    rows = assembler.assemble(ROWS)
    layout = assembler.layout
    last = layout.tag_ids("t/Value")[-1]
    for i in range(4):
        assert rows.ids[i][rows.read[i]] == last
    batch = collate(rows, range(4), False, side="left")
    assert [int(batch.ids[i, batch.read[i]]) for i in range(4)] == [last] * 4


@pytest.mark.parametrize("end", ["<Letters><Value>{answer}", "<Value><Letters>{answer}"])
def test_what_is_written_begins_after_the_last_tag(end):
    """Whichever tag that is; without the output the row ends there."""
    _, assembler = build(template="<Letters>{letters} " + end)
    fields = {**ROWS, "answer": ["one", "two words", "3", "four"]}
    with_output = assembler.assemble(fields, with_output=True)
    without = assembler.assemble(fields)
    last = "t/Value" if end.startswith("<Letters>") else "t/Letters"
    for i in range(4):
        at = with_output.read[i]
        assert at == without.read[i] == len(without.ids[i]) - 1
        assert with_output.ids[i][at] == assembler.layout.tag_ids(last)[-1]
        written = with_output.ids[i][at + 1 : -1]
        assert (written == assembler.text.encode(fields["answer"][i])).all()
        begin = with_output.suffix[i]
        assert with_output.ids[i][begin] == assembler.layout.tag_ids("t/Value")[0]


def test_a_bad_row_is_reported_and_leaves_the_others():
    """An encoder's error stays with its row."""
    _, assembler = build()
    rows = assembler.assemble({"letters": ["ab", "xyz", "c"]})
    assert rows.errors[1] == "letters: bad letter"
    assert [error is None for error in rows.errors] == [True, False, True]
