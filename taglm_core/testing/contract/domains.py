"""Checks of what else a domain gives: canonical form, features, augmentation, pictures, corpus."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from taglm_core.data.corpus import corpus_rows
from taglm_core.model.similarity import MOST_WIDTH
from taglm_core.specs import Checked, SampleData
from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import SAMPLE_ROWS, Subject
from taglm_core.testing.contract.encoders import ODD, _short
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule

_MOST_DOUBTS = 0.02
"""Share of a domain's own corpus that `doubt` may take for something else."""


def canonical_answers(subject: Subject) -> None:
    """`canonical` gives each row a value or an error, odd rows and no rows included."""
    width = len(subject.spec.columns)
    odd: list[Any] = [(text,) * width for text in ODD] if width else list(ODD)
    rows = [*subject.context.sample(subject.item)[:20], *odd]
    for batch in (rows, []):
        checked = _canonical(subject, batch)
        demand(
            len(checked.values) == len(batch) == len(checked.errors),
            f"`canonical` gives {len(checked.values)} values and {len(checked.errors)} errors for "
            f"{len(batch)} rows; give one of each a row.",
        )
        for row, value, error in zip(batch, checked.values, checked.errors, strict=True):
            demand(
                (value is None) == (error is not None),
                f"`canonical` returns for {_short(row)} the value {_short(value)} and the error "
                f"{error!r}; give either a value and None, or None and an error.",
            )


def canonical_idempotent(subject: Subject) -> None:
    """The canonical form of a canonical row is the row itself."""
    rows = subject.context.rows(subject.item)
    again = _canonical(subject, rows)
    for row, value, error in zip(rows, again.values, again.errors, strict=True):
        demand(
            value == row,
            f"the canonical row {_short(row)} becomes {_short(value)} "
            f"{f'({error}) ' if error else ''}when `canonical` is applied again. Duplicates would "
            "be missed: make it settle in one step.",
        )


def features_finite(subject: Subject) -> None:
    """`features` gives finite float32 numbers of shape (rows, features)."""
    _demand_finite(subject, "features")


def features_batch(subject: Subject) -> None:
    """The features of a row are the same alone as in a batch."""
    _demand_alone(subject, "features")


def descriptors_finite(subject: Subject) -> None:
    """`descriptors` gives finite float32 numbers of shape (rows, descriptors)."""
    _demand_finite(subject, "descriptors")


def descriptors_batch(subject: Subject) -> None:
    """The descriptors of a row are the same alone as in a batch."""
    _demand_alone(subject, "descriptors")


def fingerprint_answers(subject: Subject) -> None:
    """`fingerprint` gives numbers of shape (rows, positions), at most 32,768, some not 0."""
    rows = subject.context.rows(subject.item)[:20]
    matrix = _call(subject, "fingerprint")(rows)
    demand(
        isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.shape[0] == len(rows),
        f"`fingerprint` gives {_form(matrix)} for {len(rows)} rows; give an array of shape "
        f"({len(rows)}, positions).",
    )
    demand(
        matrix.shape[1] <= MOST_WIDTH,
        f"`fingerprint` gives {matrix.shape[1]:,} positions; give at most {MOST_WIDTH:,}.",
    )
    bare = np.flatnonzero(~(matrix != 0).any(axis=1))
    demand(
        not len(bare),
        f"`fingerprint` of {_short(rows[int(bare[0])]) if len(bare) else ''} is 0 everywhere, so "
        "that the row is like no other and not like itself. Set a position for what it has.",
    )


def fingerprint_batch(subject: Subject) -> None:
    """The fingerprint of a row is the same alone as in a batch."""
    _demand_alone(subject, "fingerprint")


def _demand_finite(subject: Subject, name: str) -> None:
    rows = subject.context.rows(subject.item)[:20]
    matrix = _call(subject, name)(rows)
    demand(
        isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.shape[0] == len(rows),
        f"`{name}` gives {_form(matrix)} for {len(rows)} rows; give an array of shape "
        f"({len(rows)}, {name}).",
    )
    demand(matrix.shape[1] > 0, f"`{name}` gives no number at all; give at least one column.")
    demand(
        matrix.dtype == np.float32,
        f"`{name}` gives {matrix.dtype}; make it float32 (`.astype(numpy.float32)`).",
    )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    demand(
        not len(bad),
        f"`{name}` of {_short(rows[int(bad[0])]) if len(bad) else ''} hold NaN or infinity. "
        "Baselines need numbers: put 0 where one is not defined.",
    )


def _demand_alone(subject: Subject, name: str) -> None:
    rows = subject.context.rows(subject.item)[:20]
    function = _call(subject, name)
    together = function(rows)
    for place in (0, len(rows) // 2, len(rows) - 1):
        demand(
            np.allclose(function([rows[place]])[0], together[place], rtol=1e-4, atol=1e-5),
            f"the {name} of {_short(rows[place])} depend on the rows beside it. Use nothing of "
            "the batch, such as its mean.",
        )


def augment_keeps(subject: Subject) -> None:
    """`augment` gives another spelling of the same thing for each row, decided by the generator."""
    rows = subject.context.rows(subject.item)[:20]
    augment = _call(subject, "augment")
    spelled, again = (augment(rows, np.random.default_rng(7)) for _ in range(2))
    demand(
        len(spelled) == len(rows),
        f"`augment` gives {len(spelled)} rows for {len(rows)}; give one for each.",
    )
    demand(
        list(spelled) == list(again),
        "`augment` gives other rows for the same generator. Take every random number from `rng`, "
        "so that a resumed run sees the same rows.",
    )
    for row, other, value in zip(
        rows, spelled, subject.context.canonical(subject.item, spelled), strict=True
    ):
        demand(
            subject.spec.canonical is None or value == row,
            f"`augment` turns {_short(row)} into {_short(other)}, whose canonical form is "
            f"{_short(value)}: another thing, which would carry a wrong label.",
        )
    if subject.spec.encoder != "text":
        errors = subject.context.encoder(subject.item).encode_batch(spelled).errors
        bad = [(row, error) for row, error in zip(spelled, errors, strict=True) if error]
        demand(
            not bad,
            f"`augment` gives {_short(bad[0][0]) if bad else ''}, which the encoder rejects: "
            f"{bad[0][1] if bad else ''}. Give spellings over the alphabet only.",
        )


def doubt_answers(subject: Subject) -> None:
    """`doubt` gives each row None or a text, alone as in a batch, odd rows and no rows included."""
    doubt = _call(subject, "doubt")
    width = len(subject.spec.columns)
    odd: list[Any] = [(text,) * width for text in ODD] if width else list(ODD)
    rows = [*subject.context.rows(subject.item)[:20], *odd]
    for batch in (rows, []):
        answers = list(doubt(list(batch)))
        demand(
            len(answers) == len(batch),
            f"`doubt` gives {len(answers)} results for {len(batch)} rows; give one for each.",
        )
    for row, answer in zip(rows, doubt(list(rows)), strict=True):
        demand(
            answer is None or (isinstance(answer, str) and bool(answer.strip())),
            f"`doubt` returns {answer!r} for {_short(row)}; give None, or what the row looks "
            'like, such as "a row number".',
        )
        demand(
            list(doubt([row])) == [answer],
            f"`doubt` of {_short(row)} depends on the rows beside it. Judge each row alone; how "
            "many are doubtful is counted for you.",
        )


def doubt_rare(subject: Subject) -> None:
    """`doubt` takes nearly every row of the domain's own corpus for what it is."""
    rows = list(subject.context.rows(subject.item))
    odd = [(r, why) for r, why in zip(rows, _call(subject, "doubt")(rows), strict=True) if why]
    demand(
        len(odd) <= _MOST_DOUBTS * len(rows),
        f"`doubt` takes {len(odd)} of {len(rows)} rows of the corpus for something else, such as "
        f"{_short(odd[0][0]) if odd else ''} for {odd[0][1] if odd else ''}. Users would be "
        "stopped with good data: ask for more evidence.",
    )


def recognize_answers(subject: Subject) -> None:
    """`recognize` says of each cell True or False, odd cells and no cells included."""
    recognize = _call(subject, "recognize")
    rows = [*subject.context.rows(subject.item)[:20], *ODD]
    for batch in (rows, []):
        answers = list(recognize(list(batch)))
        demand(
            len(answers) == len(batch),
            f"`recognize` gives {len(answers)} results for {len(batch)} cells; give one for each.",
        )
        odd = [answer for answer in answers if not isinstance(answer, bool)]
        demand(not odd, f"`recognize` returns {odd[0] if odd else ''!r}; give True or False.")


def recognize_rare(subject: Subject) -> None:
    """`recognize` takes no word, number or identifier for a row of the domain."""
    cells = ["yes", "NO", "12.5", "INACTIVE", "LAB-0001", "CHEMBL25", "measured twice", "F"]
    recognized = [
        c for c, fits in zip(cells, _call(subject, "recognize")(cells), strict=True) if fits
    ]
    demand(
        not recognized,
        f"`recognize` takes {', '.join(map(repr, recognized))} for a row of the domain, so that "
        "another column of a file would be taken for it. Ask for more evidence.",
    )


def draw_svg(subject: Subject) -> None:
    """`draw` gives one SVG element as text."""
    for row in subject.context.rows(subject.item)[:3]:
        picture = _call(subject, "draw")(row)
        is_text = isinstance(picture, str) and picture.lstrip().startswith("<svg")
        demand(
            is_text,
            f"`draw` of {_short(row)} gives {_short(picture)}; give text that begins with <svg, "
            "without an XML declaration, since it goes into a page.",
        )
        try:
            ElementTree.fromstring(picture)  # noqa: S314 - made by the plugin itself
        except ElementTree.ParseError as error:
            demand(False, f"`draw` of {_short(row)} gives no well-formed SVG: {error}.")


def sample_metrics_answer(subject: Subject) -> None:
    """`sample_metrics` give numbers, texts or None by name, also where no drawn row is valid."""
    rows = subject.context.rows(subject.item)[:20]
    for name, reference in subject.spec.sample_metrics.items():
        measure = resolve(reference, f"domain {subject.item.name}, metrics {name}")
        for canonical, others in ((list(rows), rows), ([None] * len(rows), None)):
            data = SampleData(rows=rows, canonical=canonical, known=others, reference=others)
            values = measure(data)
            fine = isinstance(values, Mapping) and all(
                isinstance(key, str) and isinstance(value, float | int | str | None)
                for key, value in values.items()
            )
            demand(
                fine,
                f"the metrics '{name}' give {_short(values)}; give a mapping of names to numbers, "
                "texts or None.",
            )


def corpus_readable(subject: Subject) -> None:
    """Every row of the corpus passes `canonical` and the encoder."""
    spec = subject.spec
    dataset = subject.registry.datasets.get(
        spec.corpus, subject.item.source.name, f"corpus of {subject.item.name}"
    )
    subject.context.table(dataset)  # skips when it cannot be fetched
    rows, source, _ = corpus_rows(subject.item, subject.registry, None, 0, SAMPLE_ROWS, "raise")
    demand(
        bool(rows),
        f"the corpus '{source}' leaves no row outside the test bucket of {SAMPLE_ROWS}. Make the "
        "groups of the domain's split finer.",
    )
    if spec.encoder == "text":
        return
    errors = subject.context.encoder(subject.item).encode_batch(rows).errors
    bad = [(row, error) for row, error in zip(rows, errors, strict=True) if error]
    demand(
        not bad,
        f"{len(bad)} of {len(rows)} corpus rows cannot be encoded, the first is "
        f"{_short(bad[0][0]) if bad else ''}: {bad[0][1] if bad else ''}. Extend the alphabet or "
        "leave such rows out of the dataset.",
    )


def split_found(subject: Subject) -> None:
    """The split that the domain names is registered."""
    where = f"domain {subject.item.name}"
    subject.registry.splitters.get(subject.spec.split, subject.item.source.name, where)


def _has(field: str) -> Callable[[Subject], bool]:
    return lambda subject: getattr(subject.spec, field) is not None


CHECKS = (
    Rule(canonical_answers, _has("canonical")),
    Rule(canonical_idempotent, _has("canonical")),
    Rule(features_finite, _has("features")),
    Rule(features_batch, _has("features")),
    Rule(descriptors_finite, _has("descriptors")),
    Rule(descriptors_batch, _has("descriptors")),
    Rule(fingerprint_answers, _has("fingerprint")),
    Rule(fingerprint_batch, _has("fingerprint")),
    Rule(augment_keeps, _has("augment")),
    Rule(doubt_answers, _has("doubt")),
    Rule(doubt_rare, lambda subject: None not in (subject.spec.doubt, subject.spec.corpus)),
    Rule(recognize_answers, _has("recognize")),
    Rule(recognize_rare, _has("recognize")),
    Rule(draw_svg, _has("draw")),
    Rule(sample_metrics_answer, lambda subject: bool(subject.spec.sample_metrics)),
    Rule(corpus_readable, _has("corpus")),
    Rule(split_found, _has("split")),
)


def _call(subject: Subject, field: str) -> Any:
    return resolve(getattr(subject.spec, field), f"domain {subject.item.name}, {field}")


def _canonical(subject: Subject, rows: Sequence[Any]) -> Checked:
    checked = _call(subject, "canonical")(list(rows))
    demand(
        isinstance(checked, tuple) and hasattr(checked, "values") and hasattr(checked, "errors"),
        f"`canonical` gives {_form(checked)}; give taglm.Checked(values, errors).",
    )
    typed: Checked = checked
    return typed


def _form(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{f' of shape {shape}' if shape is not None else ''}"
