"""`taglm identify`: which of the trained domains a text is of, or none of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

_MOST_VALIDATION_ROWS = 60
"""Held-out rows of each domain that the calibration uses."""


def identify(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to identify.")] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", "-i", help="Table with texts.")
    ] = None,
    column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    label: Annotated[
        str | None, typer.Option(help="Column with the true domain, to count what is right.")
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write the verdicts to.")
    ] = None,
    domains: Annotated[
        str | None, typer.Option(help="Domains to choose from, by commas.", show_default="all")
    ] = None,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN=FILE", help="Validation rows, instead of those held out of the corpus."
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help="Registered name, folder or Hub id.")] = "nano",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the trained domain tags by the likelihood that they give to a text.

    Margin and limits are calibrated on validation rows; a text that no domain explains well is
    "none of these", one between two domains is "unsure".
    """
    from taglm_core.cli.screen import BarProgress, pairs, print_json
    from taglm_core.data.writers import TableWriter
    from taglm_core.inference.domains import load_domain
    from taglm_core.inference.identify import bits_per_byte, decide, ranking
    from taglm_core.model.backbone import load_backbone
    from taglm_core.model.tagged import TaggedModel
    from taglm_core.plugins import load_registry
    from taglm_core.store.tagstore import TagStore

    rows, labels = _rows(texts or [], input_file, column, label)
    files = {name: Path(file) for name, file in pairs(calibrate or [], "--calibrate").items()}
    writer = TableWriter(output_file) if output_file is not None else None
    registry, store = load_registry(), TagStore()
    loaded = load_backbone(backbone, registry, device)
    model = TaggedModel(loaded)
    chosen = _chosen(domains, loaded, registry, store)
    trained = [load_domain(name, loaded, registry, store, model=model) for name in chosen]
    names = [item.name for item in trained]
    progress = BarProgress()
    calibration = _calibration(trained, registry, files, progress)
    progress.start("identifying", len(rows) * len(trained))
    bits = bits_per_byte(trained, rows, on_progress=lambda done: progress.advance(done))
    progress.finish()
    verdicts = decide(bits, names, calibration.margin, calibration.limits)
    if writer is not None:
        with writer:
            writer.write(_columns(rows, verdicts, bits, names, column))
    report: dict[str, Any] = {
        "domains": names,
        "calibration": {
            "margin": calibration.margin,
            "limits": dict(calibration.limits),
            "rows": calibration.rows,
            "accuracy": calibration.accuracy,
            "accepted": calibration.accepted,
        },
        "rows": [
            {"text": row, "domain": v.domain, "margin": v.margin, "ranking": ranking(b, names)}
            for row, v, b in zip(rows, verdicts, bits, strict=True)
        ],
    }
    if labels is not None:
        report["scored"] = _scored(labels, verdicts, registry)
    if as_json:
        print_json(report)
    else:
        _print(report, output_file)


def _rows(
    texts: Sequence[str], file: Path | None, column: str, label: str | None
) -> tuple[list[str], list[str] | None]:
    from taglm_core.data.columns import find_column
    from taglm_core.data.readers import read_table
    from taglm_core.errors import ConfigError

    if bool(texts) == (file is not None):
        raise ConfigError("give texts on the command line, or a table with --input FILE.")
    if file is None:
        if label is not None:
            raise ConfigError("--label names a column of --input FILE.")
        return list(texts), None
    table = read_table(file)
    name = find_column(table.columns, column, (), {column: column}, table.source)
    rows = ["" if value is None else str(value) for value in table.columns[name]]
    labels = [str(value) for value in table.column(label)] if label is not None else None
    return rows, labels


def _chosen(given: str | None, backbone: Any, registry: Any, store: Any) -> list[str]:
    from taglm_core.errors import UnknownNameError
    from taglm_core.inference.domains import trained_domains

    if given is not None:
        return [registry.domains.get(word.strip()).name for word in given.split(",")]
    found = trained_domains(backbone, registry, store)
    if not found:
        raise UnknownNameError(
            f"the store {store.folder} holds no domain tag for the backbone {backbone.name}. "
            "`taglm run` trains them."
        )
    return found


def _calibration(
    trained: Sequence[Any], registry: Any, files: Mapping[str, Path], progress: Any
) -> Any:
    """Calibrate on the validation rows of each domain that has any."""
    from taglm_core.errors import DataError
    from taglm_core.inference.domains import corpus_of
    from taglm_core.inference.identify import Calibration, bits_per_byte, calibrate

    by_name = {registry.domains.get(name, where="--calibrate").name: f for name, f in files.items()}
    rows: list[str] = []
    truth: list[int] = []
    for k, item in enumerate(trained):
        try:
            _, held, _ = corpus_of(item, registry, by_name.get(item.name))
        except DataError as error:
            progress.say(f"not calibrated for {item.name}: {error}")
            continue
        held = held[:_MOST_VALIDATION_ROWS]
        rows += held
        truth += [k] * len(held)
    if not rows:
        return Calibration(margin=0.0, limits={}, rows=0, accuracy=0.0, accepted=0.0)
    progress.start("calibrating", len(rows) * len(trained))
    bits = bits_per_byte(trained, rows, on_progress=lambda done: progress.advance(done))
    progress.finish()
    return calibrate(bits, truth, [item.name for item in trained])


def _columns(
    rows: Sequence[str], verdicts: Sequence[Any], bits: Any, names: Sequence[str], column: str
) -> dict[str, list[Any]]:
    import math

    made: dict[str, list[Any]] = {
        column: list(rows),
        "domain": [v.domain for v in verdicts],
        "margin": [v.margin for v in verdicts],
    }
    for k, name in enumerate(names):
        made[f"bits_per_byte.{name}"] = [
            float(value) if math.isfinite(value) else None for value in bits[:, k]
        ]
    return made


def _scored(labels: Sequence[str], verdicts: Sequence[Any], registry: Any) -> dict[str, Any]:
    """Count what is right: by the likeliest domain, and by the verdict."""
    known = {item.name: item.name for item in registry.domains}
    known |= {item.short: item.name for item in registry.domains}
    truth = [known.get(label, label) for label in labels]
    best = [v.best == t for v, t in zip(verdicts, truth, strict=True)]
    said = [v.domain == t for v, t in zip(verdicts, truth, strict=True)]
    accepted = [v.domain in known for v in verdicts]
    wrong: dict[str, int] = {}
    for v, t in zip(verdicts, truth, strict=True):
        if v.best != t:
            key = f"{t} taken for {v.best}"
            wrong[key] = wrong.get(key, 0) + 1
    return {
        "rows": len(truth),
        "accuracy_of_best": sum(best) / len(best),
        "accepted": sum(accepted) / len(accepted),
        "accuracy_of_accepted": sum(said) / sum(accepted) if any(accepted) else None,
        "wrong": dict(sorted(wrong.items(), key=lambda item: -item[1])),
    }


def _print(report: Mapping[str, Any], out: Path | None) -> None:
    from taglm_core.cli.screen import print_table, results

    shown = []
    for row in report["rows"][:50]:
        first, *rest = row["ranking"]
        second = rest[0] if rest else {"domain": "", "bits_per_byte": None}
        text = row["text"] if len(row["text"]) <= 50 else row["text"][:47] + "..."
        shown.append(
            [
                text,
                row["domain"],
                first["domain"],
                first["bits_per_byte"],
                second["domain"],
                second["bits_per_byte"],
            ]
        )
    print_table(["text", "verdict", "best", "bits/byte", "second", "bits/byte"], shown)
    if len(report["rows"]) > len(shown):
        results.print(f"and {len(report['rows']) - len(shown):,} more", markup=False)
    held = report["calibration"]
    results.print(
        f"calibrated on {held['rows']} held-out rows of {len(report['domains'])} domains: margin "
        f"{held['margin']:.3g} bits/byte, best domain right for {held['accuracy']:.1%}, "
        f"{held['accepted']:.1%} accepted"
        if held["rows"]
        else "not calibrated: no validation rows; give some with --calibrate DOMAIN=FILE",
        markup=False,
    )
    if "scored" in report:
        scored = report["scored"]
        results.print(
            f"{scored['rows']:,} rows: likeliest domain right for "
            f"{scored['accuracy_of_best']:.1%}; {scored['accepted']:.1%} accepted",
            markup=False,
        )
        for words, count in list(scored["wrong"].items())[:8]:
            results.print(f"  {count} {words}", markup=False)
    if out is not None:
        results.print(f"verdicts: {out}", markup=False)
