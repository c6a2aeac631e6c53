"""`taglm directions`: translations of a run or a file, direction by direction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.plugin import JsonOption

_ADVICE = "A table of translations has the columns src_lang, source, tgt_lang and target."


Predictions = Annotated[
    Path,
    typer.Argument(help="Folder of a finished run, or a table of sources and translations."),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Table of another system for the same rows, such as mt=mt.csv.",
    ),
]
TrainedRun = Annotated[
    Path | None,
    typer.Option(help="Run that names the trained directions; others are zero-shot."),
]
Column = Annotated[str, typer.Option(help="Column that holds the translations.")]
Metrics = Annotated[str, typer.Option(help="Metrics: chrf, bleu, spbleu.")]
Samples = Annotated[int, typer.Option(help="Number of bootstrap samples.", min=10)]
Comet = Annotated[
    str | None, typer.Option(help="COMET model: Hub id or checkpoint (needs the extra comet).")
]
HeatMap = Annotated[Path | None, typer.Option(help="Heat map to write (png, svg, pdf).")]
Out = Annotated[Path | None, typer.Option(help="JSON file to write.")]


def directions(
    predictions: Predictions,
    against: Against = None,
    run: TrainedRun = None,
    column: Column = "Translate",
    metrics: Metrics = "chrf,bleu",
    samples: Samples = 1000,
    comet: Comet = None,
    heat_map: HeatMap = None,
    out: Out = None,
    as_json: JsonOption = False,
) -> None:
    """Score translations by direction and compare them with copying the source.

    Intervals and p-values come from a paired bootstrap over sentences.
    """
    from taglm_core.errors import ConfigError
    from taglm_core.plugin import (
        check_writable,
        parse_pairs,
        print_json,
        print_line,
        write_json,
    )
    from taglm_translation.matrix import draw_heat_map, score_directions
    from taglm_translation.metrics import signature

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    signatures = {name: signature(name) for name in names}
    for path, endings in ((heat_map, (".png", ".svg", ".pdf")), (out, (".json",))):
        if path is not None and path.suffix.lower() not in endings:
            raise ConfigError(f"{path}: the name of this file must end in {' or '.join(endings)}.")
        if path is not None:
            check_writable(path)
    others = {name: Path(file) for name, file in parse_pairs(against or [], "--against").items()}
    translations = read_translations(_table_of(predictions), column, others)
    found_run = run or (predictions if predictions.is_dir() else None)
    trained = _trained(found_run) if found_run is not None else None
    report = score_directions(translations, names, trained, samples)
    report["signatures"] = signatures
    if comet is not None:
        _add_comet(report, translations, comet)
    if heat_map is not None:
        draw_heat_map(report, names[0], next(iter(translations.systems)), str(heat_map))
    if out is not None:
        write_json(out, report)
    if as_json:
        print_json(report)
        return
    _print(report, names, list(translations.systems))
    for path in (heat_map, out):
        if path is not None:
            print_line(f"written: {path}")


def _table_of(path: Path) -> Path:
    """Return the predictions of a run's test split, or the file itself."""
    return path / "predictions" / "test.csv" if path.is_dir() else path


def read_translations(path: Path, column: str, others: Mapping[str, Path]) -> Any:
    """Read a table of translations and those of other systems.

    Args:
        path: Has src_lang, source, tgt_lang, target (or measured) and the translations.
        column: Column of the translations.
        others: Name -> table of the same rows in any order.

    Raises:
        DataError: naming what is missing.
    """
    from taglm_core.errors import DataError
    from taglm_core.plugin import clean_cell, find_column, read_table
    from taglm_translation.matrix import COPY, Translations

    def columns_of(file: Path) -> dict[str, list[str]]:
        table = read_table(file)
        wanted = {"target": ("measured", "reference")}
        picked = {
            name: find_column(table.columns, name, wanted.get(name, ()), {}, table.source, _ADVICE)
            for name in ("src_lang", "source", "tgt_lang", "target")
        }
        picked["output"] = find_column(
            table.columns, column, (), {}, table.source, "Name the column: --column NAME."
        )
        return {
            name: [clean_cell(cell, is_text=True) for cell in table.columns[source_column]]
            for name, source_column in picked.items()
        }

    own = columns_of(path)
    keys = list(zip(own["src_lang"], own["source"], own["tgt_lang"], own["target"], strict=True))
    systems = {column: own["output"], COPY: own["source"]}
    for name, file in others.items():
        other = columns_of(file)
        splits = (other[k] for k in ("src_lang", "source", "tgt_lang", "target"))
        by_key = dict(zip(zip(*splits, strict=True), other["output"], strict=True))
        missing = [i for i, key in enumerate(keys) if key not in by_key]
        if missing:
            raise DataError(
                f"{file} lacks {len(missing)} of the {len(keys)} rows of {path}, the first is row "
                f"{missing[0] + 1}. Give the translations of the same rows."
            )
        systems[name] = [by_key[key] for key in keys]
    pairs = list(zip(own["src_lang"], own["tgt_lang"], strict=True))
    return Translations(pairs, own["source"], own["target"], systems)


def _trained(run: Path) -> set[tuple[str, str]]:
    """Return the directions that a run trained on."""
    from taglm_core.plugin import read_artifact

    task = read_artifact(run).task
    return {(src, tgt) for src, tgt in task.trained_combinations}


def _add_comet(report: dict[str, Any], translations: Any, model: str) -> None:
    """Put the mean COMET of each direction beside the other metrics."""
    from taglm_translation.metrics import comet

    name = next(iter(translations.systems))
    values = comet(translations.source, translations.truth, translations.systems[name], model)
    report["signatures"]["comet"] = model
    for record in report["directions"]:
        pair = (record["from"], record["to"])
        own = [v for v, d in zip(values, translations.directions, strict=True) if d == pair]
        record["comet"] = {name: {"score": round(sum(own) / len(own), 4)}}


def _print(report: Mapping[str, Any], metrics: list[str], systems: list[str]) -> None:
    from taglm_core.plugin import print_line, print_table

    first, metric = systems[0], metrics[0]
    rows = []
    for record in [
        *({"name": name, **scores} for name, scores in report["pooled"].items()),
        *report["directions"],
    ]:
        name = record.get("name") or f"{record['from']}-{record['to']}"
        if record.get("trained") is False:
            name += " *"
        own = record[metric][first]
        line = [name, record["rows"], own["score"], f"{own['low']:.1f} to {own['high']:.1f}"]
        for other in systems[1:]:
            scores = record[metric][other]
            line += [scores["score"], scores["p"]]
        rows.append(line)
    beside = [word for other in systems[1:] for word in (other, "p")]
    title = f"{metric} of {first}, 95 % interval; * never trained"
    print_table(["direction", "rows", metric, "interval", *beside], rows, title)
    for name, text in report["signatures"].items():
        print_line(f"{name}: {text}")
