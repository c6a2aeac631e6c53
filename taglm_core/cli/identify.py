"""`taglm identify`: which of the trained domains a text is of, or none of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer


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
    from taglm_core.inference.identify import bits_per_byte, decide, num_bytes, ranking
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
    calibration = _calibration(trained, registry, store, files, progress)
    progress.start("identifying", len(rows) * len(trained))
    bits = bits_per_byte(trained, rows, on_progress=lambda done: progress.advance(done))
    progress.finish()
    verdicts = decide(bits, num_bytes(rows), names, calibration)
    if writer is not None:
        with writer:
            writer.write(_columns(rows, verdicts, bits, names, column))
    report: dict[str, Any] = {
        "domains": names,
        "calibration": attrs.asdict(calibration),
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
    trained: Sequence[Any], registry: Any, store: Any, files: Mapping[str, Path], progress: Any
) -> Any:
    """Calibrate, showing how far it is; what was kept is there at once."""
    from taglm_core.inference.calibrated import calibrated

    by_name = {registry.domains.get(name, where="--calibrate").name: f for name, f in files.items()}
    begun: list[int] = []

    def advance(done: int, pairs: int) -> None:
        if not begun:
            progress.start("calibrating", pairs)
            begun.append(pairs)
        progress.advance(done)

    found = calibrated(trained, registry, store, by_name, progress.say, advance)
    progress.finish()
    return found


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
    """Count what is right: by the likeliest domain, and by the verdict.

    Rows with a label that is no domain, such as "none", are counted apart: they should be refused.
    """
    known = {item.name: item.name for item in registry.domains}
    known |= {item.short: item.name for item in registry.domains}
    pairs = [(v, known.get(label)) for v, label in zip(verdicts, labels, strict=True)]
    own = [(v, truth) for v, truth in pairs if truth is not None]
    strange = [v for v, truth in pairs if truth is None]
    wrong: dict[str, int] = {}
    for v, truth in own:
        if v.best != truth:
            key = f"{truth} taken for {v.best}"
            wrong[key] = wrong.get(key, 0) + 1
    found: dict[str, Any] = {"rows": len(pairs)}
    if own:
        found["of_domains"] = {
            "rows": len(own),
            "accuracy_of_best": sum(v.best == truth for v, truth in own) / len(own),
            **_verdicts([v for v, _ in own], [v.domain == truth for v, truth in own]),
        }
    if strange:
        found["of_none"] = {
            "rows": len(strange),
            **_verdicts(strange, [False] * len(strange)),
        }
    return {**found, "wrong": dict(sorted(wrong.items(), key=lambda item: -item[1]))}


def _verdicts(verdicts: Sequence[Any], is_right: Sequence[bool]) -> dict[str, float]:
    """Return the shares of verdicts that name the right domain, a wrong one, or none."""
    from taglm_core.inference.identify import NONE, UNSURE

    count = len(verdicts)
    unsure = sum(v.domain == UNSURE for v in verdicts)
    none = sum(v.domain == NONE for v in verdicts)
    right = sum(is_right)
    return {
        "accepted_and_right": right / count,
        "accepted_and_wrong": (count - right - unsure - none) / count,
        "unsure": unsure / count,
        "none": none / count,
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
        f"{held['margin']:.3g} bits, best domain right for {held['accuracy']:.1%}, "
        f"{held['accepted']:.1%} accepted"
        if held["rows"]
        else "not calibrated: no validation rows; give some with --calibrate DOMAIN=FILE",
        markup=False,
    )
    if "scored" in report:
        _print_scored(report["scored"])
    if out is not None:
        results.print(f"verdicts: {out}", markup=False)


def _print_scored(scored: Mapping[str, Any]) -> None:
    from taglm_core.cli.screen import results

    for key, words in (("of_domains", "rows of a domain"), ("of_none", "rows of no domain")):
        held = scored.get(key)
        if held is None:
            continue
        best = held.get("accuracy_of_best")
        results.print(
            f"{held['rows']:,} {words}: "
            + (f"likeliest domain right for {best:.1%}; " if best is not None else "")
            + f"accepted and right {held['accepted_and_right']:.1%}, accepted and wrong "
            f"{held['accepted_and_wrong']:.1%}, unsure {held['unsure']:.1%}, none of these "
            f"{held['none']:.1%}",
            markup=False,
        )
    for words, count in list(scored["wrong"].items())[:8]:
        results.print(f"  {count} {words}", markup=False)
