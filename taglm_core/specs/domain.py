"""A domain: one kind of data, the tag that announces it, and what the core may ask about it."""

from collections.abc import Mapping
from typing import Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.specs.fields import as_names, identifier, optional_reference, reference


@attrs.frozen(kw_only=True)
class Domain:
    """One kind of specialized data, such as molecules written as SMILES.

    Every callable is a reference `"package.module:attribute"` imported on first use, so that
    registering a domain costs nothing. Callables work on batches: they take a sequence of rows
    (a row is a string, or a tuple of strings when `columns` names several) and return as many.
    """

    tag: str = attrs.field(validator=identifier)
    """Name of the domain tag, written `<tag>` in templates."""
    field: str = attrs.field(validator=identifier)
    """Name of the template field that holds this data, written `{field}`."""
    aliases: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Other column names, any case, under which a file may hold the field."""
    columns: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Columns that make up one record; empty means the one column named by `field`."""
    description: str = ""
    """One sentence for listings."""
    encoder: str = attrs.field(default="text")
    """Reference to a class or function that gives an `Encoder`; "text": the LM's tokenizer."""
    corpus: str | None = None
    """Dataset on which stage 1 trains; None: only a file given by `--domain-data`."""
    split: str | None = None
    """The leak-free split of this domain, also the rule of the test bucket; None: random."""
    features: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> float32 (rows, features)`: many small numbers such as counts of substructures,
    for baselines; None: none."""
    descriptors: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> float32 (rows, descriptors)`: the quantities that experts of the domain compute,
    such as weight and polarity, for baselines; None: none."""
    fingerprint: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> (rows, positions)`: which parts each row has, such as substructures (not 0 where
    it has one), by which predictions give the similarity of a row to the training rows (Tanimoto);
    at most 32,768 positions; None: they do not tell."""
    canonical: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> Checked`: one spelling for each thing, errors for impossible rows."""
    fix: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> Fixed`: rows with common faults put right, run before `canonical` where the user
    asked for it (`--fix`); None: nothing can be fixed."""
    doubt: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows) -> list[str | None]`: for each canonical row None, or what it rather looks like, such
    as "a nucleotide sequence". A few such rows are a warning, a file of them is refused; None:
    every row is taken for what it is."""
    recognize: str | None = attrs.field(default=None, validator=optional_reference)
    """`(cells) -> list[bool]`: for each cell of a file whether it can hardly be anything else than
    a row of this domain. It finds the column in a file whose column names say nothing; None: only
    the names in `field` and `aliases` do."""
    augment: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows, rng: numpy.random.Generator) -> list[str]`: other spellings of the same things."""
    draw: str | None = attrs.field(default=None, validator=optional_reference)
    """`(row, weights=None) -> str`: a picture of one row as SVG text. With `weights`, a number
    from 0 to 1 for each symbol that the encoder gives the row, the parts of the picture that the
    symbols stand for are shaded."""
    sample_metrics: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Word of `taglm sample --metrics` -> `(data: SampleData) -> Mapping[str, float | str | None]`:
    scores of rows drawn from the domain by name, or in words why there is none."""

    @sample_metrics.validator
    def _check_sample_metrics(self, attribute: Any, value: Mapping[str, str]) -> None:
        for each in value.values():
            reference(self, attribute, each)

    @encoder.validator
    def _check_encoder(self, attribute: "attrs.Attribute[str]", value: str) -> None:
        if value != "text":
            reference(self, attribute, value)

    def __attrs_post_init__(self) -> None:
        if self.columns and self.encoder == "text":
            raise ConfigError(
                f"Domain {self.tag}: its rows have the columns {', '.join(self.columns)}, which "
                "the encoder 'text' does not read. Name another encoder."
            )
