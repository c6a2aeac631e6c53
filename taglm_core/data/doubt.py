"""Rows that a field can hold but that look like another kind of data, such as DNA for a protein.

A domain says of each row what it rather looks like (`Domain.doubt`). A few such rows may be right,
so they are a warning; where most values of a file are doubtful the file is taken for the wrong one.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.errors import ConfigError, DataError, PluginError
from taglm_core.plugins import Registered
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Domain
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)

WORDS = ("raise", "warn")
"""What `on_doubt` may say."""

LEAST_VALUES = 3
"""Distinct doubtful values from which a file may be refused; fewer may have been typed by hand."""

LARGEST_SHARE = 0.5
"""Share of the distinct values of a field from which doubt refuses the file."""

_LONGEST = 40


def check_on_doubt(word: str) -> None:
    """Demand a word that `on_doubt` may say.

    Raises:
        ConfigError: naming them.
    """
    if word not in WORDS:
        raise ConfigError(f"on_doubt (--on-doubt) must be {' or '.join(WORDS)}, not {word!r}.")


def doubts_of(domain: Registered[Domain], rows: Sequence[Any]) -> list[str | None]:
    """Ask a domain what rows look like.

    Args:
        domain: The domain.
        rows: Canonical rows, `(rows,)`.

    Returns:
        For each row None, or what it rather looks like.

    Raises:
        PluginError: when the domain fails, or answers for another number of rows.
    """
    if domain.spec.doubt is None or not rows:
        return [None] * len(rows)
    distinct = list(dict.fromkeys(rows))
    answers = answers_of(domain, "doubt", domain.spec.doubt, distinct, "rows")
    answer_of = dict(zip(distinct, answers, strict=True))
    return [answer_of[row] for row in rows]


def answers_of(
    domain: Registered[Domain], question: str, reference: str, values: Sequence[Any], unit: str
) -> list[Any]:
    """Ask a domain one question about each of some values.

    Args:
        domain: The domain.
        question: The field of its declaration, `doubt` or `recognize`.
        reference: What that field holds.
        values: Are asked about, `(values,)`.
        unit: What they are, in messages.

    Returns:
        An answer for each value.

    Raises:
        PluginError: when the domain fails, or gives another number of answers.
    """
    ask = resolve(reference, f"domain {domain.name}, {question}")
    try:
        answers = list(call_plugin(ask, list(values)))
    except PluginError as error:
        raise PluginError(f"{domain.source}: {question} of {domain.name}: {error}") from error
    if len(answers) != len(values):
        raise PluginError(
            f"{domain.source}: {question} of {domain.name} gave {len(answers)} answers for "
            f"{len(values)} {unit}."
        )
    return answers


def check_rows(
    domain: Registered[Domain], field: str, rows: Sequence[Any], source: str, on_doubt: str
) -> str | None:
    """Warn of doubtful rows of a field, or refuse them when most are.

    Args:
        domain: Domain of the field.
        field: Name of the field, for messages.
        rows: Canonical rows.
        source: The file, for messages.
        on_doubt: "raise" refuses where most values are doubtful; "warn" warns only.

    Returns:
        What was logged, None when no row is doubtful.

    Raises:
        DataError: saying how many, what they look like, and how to take them all the same.
    """
    if domain.spec.doubt is None:
        return None
    distinct = list(dict.fromkeys(rows))
    pairs = [(row, why) for row, why in zip(distinct, doubts_of(domain, distinct), strict=True)]
    odd = [(row, why) for row, why in pairs if why is not None]
    if not odd:
        return None
    kinds = Counter(why for _, why in odd)
    likeliest = kinds.most_common(1)[0][0]
    example = next(row for row, why in odd if why == likeliest)
    said = (
        f"{source}: {len(odd):,} of {len(distinct):,} distinct values of the field '{field}' look "
        f"like {likeliest}, such as {_short(example)}"
    )
    is_most = len(odd) >= LEAST_VALUES and len(odd) >= LARGEST_SHARE * len(distinct)
    if is_most and on_doubt == "raise":
        raise DataError(
            f"{said}. Give the data that <{domain.spec.tag}> stands for, or use the values as they "
            "are with --on-doubt warn."
        )
    remark = f"{said}. They are used as they are."
    logger.warning("%s", remark)
    return remark


def check_fields(
    fields: Mapping[str, Sequence[Any]],
    errors: Sequence[str | None],
    task: ResolvedTask,
    domains: Mapping[str, Registered[Domain]],
    source: str,
    on_doubt: str,
) -> None:
    """Check every domain field of a task; rows with an error are skipped.

    Args:
        fields: Field or tag column -> canonical value of each row.
        errors: None or what is wrong with each row.
        task: Says which field is of which domain.
        domains: Tag as a column names it -> domain, for fields whose tag a column names.
        source: The file, for messages.
        on_doubt: As for `check_rows`.

    Raises:
        DataError: when most values of a field are doubtful and `on_doubt` is "raise".
    """
    for span in task.prompt.spans:
        rows = fields[span.field]
        good = [i for i, error in enumerate(errors) if error is None and rows[i]]
        if not span.tag.is_column:
            domain = task.domains[span.tag.name]
            check_rows(domain, span.field, [rows[i] for i in good], source, on_doubt)
            continue
        tags = fields[span.tag.name]
        for tag in dict.fromkeys(tags[i] for i in good):
            if tag in domains:
                own = [rows[i] for i in good if tags[i] == tag]
                check_rows(domains[tag], f"{span.field} ({tag})", own, source, on_doubt)


def _short(row: Any) -> str:
    text = repr(row)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...'"
