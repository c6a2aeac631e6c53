"""`taglm data check`: which columns a file has for a task, and what is wrong with its rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from taglm_core import Classification, Domain, Regression
from taglm_core.errors import DataError, PluginError
from taglm_core.plugin import (
    JsonOption,
    Registered,
    Registry,
    ResolvedTask,
    Table,
    clean_cell,
    find_column,
    find_split_column,
    find_task,
    import_object,
    is_missing,
    parse_censored,
    parse_classes,
    parse_labels,
    parse_splits,
    read_table,
    without_missing,
)
from taglm_studies import findings
from taglm_studies.fields import Field, known_fields, task_fields
from taglm_studies.similarity import near_values
from taglm_studies.units import odd_units

app = typer.Typer(no_args_is_help=True)

_MOST_CLASSES = 10


def check_file(
    path: Path,
    registry: Registry,
    task: str | None = None,
    mapping: Mapping[str, str] | None = None,
    targets: Sequence[str] = (),
    format: str | None = None,
) -> dict[str, Any]:
    """Look through a data file.

    Args:
        path: The file.
        registry: Where tasks and domains are looked up.
        task: Name of a task or a run file, which says what fields and targets there are; None:
            every domain whose column is found, the fields that `mapping` names, and `targets`.
        mapping: Field, target or "split" -> column, before any other rule.
        targets: Further columns to be checked as targets.
        format: Format of the file; None: its extension decides.

    Returns:
        Plain data: what was found, with counts over all rows and the first rows as examples;
        `notes` says what was not checked.

    Raises:
        DataError: when the file cannot be read or no field has a column.
        UnknownNameError: when there is no such task.
    """
    mapping = mapping or {}
    table = read_table(path, format)
    notes: list[str] = []
    resolved = None
    if task is not None:
        resolved, columns = find_task(task, registry)
        mapping = {**columns, **mapping}
        fields = task_fields(table, resolved, mapping)
    else:
        fields = known_fields(table, registry, mapping, targets, notes)
    report: dict[str, Any] = {"file": table.source, "rows": table.num_rows, "task": task}
    report["fields"], report["targets"] = {}, {}
    exact, canonical, is_empty, valid = _check_fields(table, fields, report)
    report["empty_rows"] = findings.marked(
        ["no field is filled" if empty else None for empty in is_empty], table.rows
    )
    equal = {"exact": findings.equal_rows(exact), "canonical": findings.equal_rows(canonical)}
    report["duplicates"] = {
        kind: findings.duplicates(groups, table.rows) for kind, groups in equal.items()
    }
    splits = _splits(table, mapping, notes)
    if splits is not None:
        report["between_splits"] = _between(table, fields, valid, equal, *splits)
    wanted = _target_columns(table, resolved, mapping, targets, notes)
    _check_targets(table, wanted, resolved, equal["canonical"], report)
    report["notes"] = notes
    return report


def _between(
    table: Table,
    fields: Sequence[Field],
    valid: Mapping[str, list[Any]],
    equal: Mapping[str, findings.Groups],
    column: str,
    splits: list[str],
) -> dict[str, Any]:
    """Find rows of one split that are equal or near to rows of another."""
    return {
        "column": column,
        "rows": {split: splits.count(split) for split in dict.fromkeys(splits)},
        **{kind: findings.between_splits(rows, splits, table.rows) for kind, rows in equal.items()},
        "near": {
            field.name: near_values(field.domain, valid[field.name], splits)
            for field in fields
            if field.domain is not None and field.domain.spec.features is not None
        },
    }


def _check_fields(
    table: Table, fields: Sequence[Field], report: dict[str, Any]
) -> tuple[list[Any], list[Any], list[bool], dict[str, list[Any]]]:
    """Check every field.

    Returns:
        Exact keys, canonical keys (None: not valid), empty rows, and field -> canonical values.
    """
    exact, canonical = [], []
    for field in fields:
        raw = [
            _text(cells) for cells in zip(*(table.columns[c] for c in field.columns), strict=True)
        ]
        rows: list[Any] = [row if len(field.columns) > 1 else row[0] for row in raw]
        values: list[Any] = [row if any(raw[i]) else None for i, row in enumerate(rows)]
        exact.append(list(values))
        errors: list[str | None] = [None] * len(rows)
        domain = field.domain
        if domain is not None and domain.spec.canonical is not None:
            checked = _canonical(domain, list(dict.fromkeys(v for v in values if v is not None)))
            for i, value in enumerate(values):
                if value is not None:
                    values[i], errors[i] = checked[value]
        report["fields"][field.name] = {
            "column": ", ".join(field.columns),
            "domain": domain.name if domain is not None else None,
            "empty": findings.marked(
                [None if any(row) else "the cell is empty" for row in raw], table.rows
            ),
            "invalid": findings.marked(errors, table.rows),
            "doubtful": findings.marked(_doubts(domain, values), table.rows),
        }
        canonical.append(values)
    is_empty = [not any(row) for row in zip(*exact, strict=True)]
    valid = {field.name: rows for field, rows in zip(fields, canonical, strict=True)}
    return _keys(exact), _keys(canonical), is_empty, valid


def _doubts(domain: Registered[Domain] | None, values: Sequence[Any]) -> list[str | None]:
    """Return for each row None or what its valid value rather looks like."""
    if domain is None or domain.spec.doubt is None:
        return [None] * len(values)
    good = [i for i, value in enumerate(values) if value is not None]
    reasons: list[str | None] = [None] * len(values)
    ask = import_object(domain.spec.doubt, f"domain {domain.name}, doubt")
    for i, why in zip(good, ask([values[i] for i in good]), strict=True):
        reasons[i] = None if why is None else f"looks like {why}"
    return reasons


def _canonical(
    domain: Registered[Domain], distinct: list[Any]
) -> dict[Any, tuple[str | None, str | None]]:
    """Return each distinct row's canonical form and error."""
    if not distinct:
        return {}
    rewrite = import_object(domain.spec.canonical or "", f"domain {domain.name}, canonical")
    checked = rewrite(distinct)
    if len(checked.values) != len(distinct) or len(checked.errors) != len(distinct):
        raise PluginError(
            f"{domain.source}: canonical of {domain.name} gave {len(checked.values)} values for "
            f"{len(distinct)} rows."
        )
    return dict(zip(distinct, zip(checked.values, checked.errors, strict=True), strict=True))


def _text(cells: Sequence[Any]) -> tuple[str, ...]:
    return tuple(clean_cell(cell) for cell in cells)


def _keys(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """Return one key a row, None where a field has no value."""
    return [None if None in row else row for row in zip(*columns, strict=True)]


def _splits(
    table: Table, mapping: Mapping[str, str], notes: list[str]
) -> tuple[str, list[str]] | None:
    try:
        column = find_split_column(table.columns, mapping, table.source)
        return column, parse_splits(table.columns[column], table.rows, table.source, column)
    except DataError as error:
        if "split" in mapping:
            raise
        reason = "no split column" if "no column for" in str(error) else str(error)
        notes.append(f"rows between splits were not compared: {reason}")
        return None


def _target_columns(
    table: Table,
    task: ResolvedTask | None,
    mapping: Mapping[str, str],
    targets: Sequence[str],
    notes: list[str],
) -> dict[str, str]:
    """Return target -> column, of the task and of those asked for."""
    aliases = task.spec.aliases if task is not None else {}
    columns = {
        name: find_column(table.columns, name, (), mapping, table.source) for name in targets
    }
    if task is None:
        if not targets:
            notes.append("no target was checked: name one with --target, or the task with --task")
        return columns
    target = task.spec.target
    if isinstance(target, Regression | Classification):
        wanted = dict(zip(target.names, target.columns or target.names, strict=True))
    else:
        output = task.prompt.output
        wanted = {output.field: output.field} if output is not None else {}
    for name, column in wanted.items():
        try:
            others = aliases.get(column, ())
            columns[name] = find_column(table.columns, column, others, mapping, table.source)
        except DataError as error:
            is_computed = getattr(target, "compute", None) is not None
            if column in mapping:
                raise
            why = "the task computes it" if is_computed else str(error)
            notes.append(f"target {name} was not checked: {why}")
    return columns


def _without_targets(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    """Find the rows that lack every target."""
    cells = zip(*(table.columns[column] for column in columns), strict=True)
    reason = f"all of {', '.join(columns)} are empty"
    return findings.marked(
        [reason if all(is_missing(cell) for cell in row) else None for row in cells], table.rows
    )


def _check_targets(
    table: Table,
    columns: Mapping[str, str],
    task: ResolvedTask | None,
    equal: findings.Groups,
    report: dict[str, Any],
) -> None:
    """Check every target, and where a task has several, that each row has one of them."""
    several = task is not None and len(getattr(task.spec.target, "names", ())) > 1
    for name, column in columns.items():
        report["targets"][name] = _check_target(table, column, task, equal, several)
    if several and columns:
        report["without_targets"] = _without_targets(table, list(columns.values()))


def _check_target(
    table: Table,
    column: str,
    task: ResolvedTask | None,
    equal: findings.Groups,
    several: bool,
) -> dict[str, Any]:
    """Check a target's column; of several targets a row may lack some."""
    kind = task.spec.target.kind if task is not None else _guessed_kind(table, column)
    cells = table.columns[column]
    place = (table.rows, table.source, column)
    if kind == "regression":
        numbers, sides, errors = parse_censored(cells, *place, on_error="skip")
        numbers = np.where(sides == 0, numbers, np.nan)  # a limit is no value
        values: Sequence[Any] = numbers.tolist()
        unit = getattr(task.spec.target, "unit", "") if task is not None else ""
        more: dict[str, Any] = {
            "outliers": findings.outliers(numbers, table.rows),
            "units": odd_units(numbers, f"{column} {unit}", table.rows),
        }
    elif task is not None and isinstance(task.spec.target, Classification) and several:
        labels, errors = parse_labels(cells, table.source, column, task.spec.target.classes)
        names = task.spec.target.classes or ("0", "1")
        values = [None if k is None else names[k] for k in without_missing(labels)]
        more = {"classes": {name: values.count(name) for name in names}}
    else:
        classes, errors = parse_classes(cells, *place, on_error="skip")
        values = classes
        counted = {name: classes.count(name) for name in dict.fromkeys(classes) if name is not None}
        more = {"classes": counted} if kind == "classification" else {}
    if several:
        empty = [is_missing(cell) for cell in cells]
        errors = [None if gap else error for gap, error in zip(empty, errors, strict=True)]
        more["missing"] = sum(empty)
    return {
        "column": column,
        "kind": kind,
        "unusable": findings.marked(errors, table.rows),
        "conflicts": findings.conflicts(equal, values, table.rows),
        **more,
    }


def _guessed_kind(table: Table, column: str) -> str:
    """Take a column for numbers when most cells are, unless there are a few whole ones only.

    Texts that hardly recur are no classes but numbers written wrong, such as 1,5 or 3 mg/L.
    """
    cells = table.columns[column]
    place = (table.rows, table.source, column)
    numbers, _, errors = parse_censored(cells, *place, on_error="skip")
    known = {number for number in numbers.tolist() if number == number}
    is_few = len(known) <= _MOST_CLASSES and all(number.is_integer() for number in known)
    is_numeric = 2 * sum(error is None for error in errors) > len(cells)
    if is_numeric:
        return "classification" if is_few else "regression"
    words = [clean_cell(cell) for cell in cells if not is_missing(cell)]
    return "classification" if 2 * len(set(words)) <= len(words) else "regression"


@app.callback()
def _data() -> None:
    """Look at data files before training on them."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Table to check, such as molecules.csv.")],
    task: Annotated[
        str | None, typer.Option(help="Task of the file, such as QED, or a run file (YAML).")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN", help="Column of a field, a target or the split, such as Y=pKd."
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Column to check as a target, such as Y.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="Format, such as tsv.gz.", show_default="by extension")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find duplicates, conflicting targets, outliers and unusable rows in a file."""
    from taglm_core.plugin import load_registry, parse_pairs, print_json, to_json
    from taglm_studies.check_lines import report_lines

    mapping = parse_pairs(column or [], "--column")
    report = check_file(file, load_registry(), task, mapping, target or (), format)
    if as_json:
        print_json(to_json(report))
    else:
        typer.echo("\n".join(report_lines(report)))


@app.command()
def split(
    file: Annotated[Path, typer.Argument(help="Table to split, such as pairs.csv.")],
    task: Annotated[str, typer.Option(help="Task of the file, such as DC, or a run file (YAML).")],
    out: Annotated[Path, typer.Option(help="Table to write, with the columns row and split.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--split", help="Registered splitter, such as pair.", show_default="the task's own"
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN", help="Column of a field or of the splitter, such as smiles=Drug."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
) -> None:
    """Assign rows to train, valid and test, for runs with `--set data.split.file=FILE`.

    Skipped rows, which are invalid or which the splitter does not assign, have an empty split.
    """
    from taglm_core.plugin import load_registry, parse_pairs, print_note
    from taglm_studies.splits import split_file

    counts = split_file(
        file, out, load_registry(), task, name, parse_pairs(column or [], "--column"), seed
    )
    shown = ", ".join(f"{split or 'skipped'} {count:,}" for split, count in counts.items())
    print_note(f"{out}: {shown}")
