"""Translations scored direction by direction, with intervals and tests against other systems."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from taglm_core.errors import DataError
from taglm_translation.metrics import prepared, scorer

COPY = "copy"
"""The system that gives the source back."""

SAMPLES = 1000
"""Resamples of a paired bootstrap."""


@attrs.frozen
class Translations:
    """Rows with the outputs of one or several systems."""

    directions: list[tuple[str, str]]
    """(source language, target language) of each row."""
    source: list[str]
    truth: list[str]
    systems: dict[str, list[str]]
    """System -> one output a row; the first is judged, the others are what it is held against."""


def score_directions(
    translations: Translations,
    metrics: Sequence[str],
    trained: Collection[tuple[str, str]] | None = None,
    samples: int = SAMPLES,
    seed: int = 12345,
) -> dict[str, Any]:
    """Score every direction, and all trained and zero-shot ones together.

    Args:
        translations: The rows.
        metrics: Names of metrics, such as chrf.
        trained: Directions that training saw; None: not known.
        samples: Resamples of the bootstrap.
        seed: Of the resamples.

    Returns:
        `directions`, a list of records; `pooled`, records for "all", "trained" and "zero-shot";
        `signatures`. A record has rows and, for each metric and system, score, the 95 % interval
        of its bootstrap and, for the systems held against, the p-value of the difference.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for i, direction in enumerate(translations.directions):
        places.setdefault(direction, []).append(i)
    records = []
    for direction, rows in sorted(places.items()):
        known = {} if trained is None else {"trained": direction in trained}
        scores = compare(translations, rows, metrics, samples, seed)
        records.append({"from": direction[0], "to": direction[1], **known, **scores})
    pooled = {"all": list(range(len(translations.directions)))}
    if trained is not None:
        for name, wanted in (("trained", True), ("zero-shot", False)):
            pooled[name] = [
                i for i, d in enumerate(translations.directions) if (d in trained) == wanted
            ]
    return {
        "directions": records,
        "pooled": {
            name: compare(translations, rows, metrics, samples, seed)
            for name, rows in pooled.items()
            if rows
        },
        "samples": samples,
    }


def compare(
    translations: Translations, rows: Sequence[int], metrics: Sequence[str], samples: int, seed: int
) -> dict[str, Any]:
    """Score some rows by paired bootstrap (Koehn 2004), as sacrebleu does it.

    Returns:
        `rows`, and metric -> system -> score, interval and, but for the first system, p.
    """
    truth = [translations.truth[i] for i in rows]
    outputs = {name: [values[i] for i in rows] for name, values in translations.systems.items()}
    record: dict[str, Any] = {"rows": len(rows)}
    for metric in metrics:
        record[metric] = _tested(metric, truth, outputs, samples, seed)
    return record


def _tested(
    metric: str,
    truth: Sequence[str],
    outputs: Mapping[str, Sequence[str]],
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Test the first system, as the baseline of sacrebleu's test, against each other one."""
    from sacrebleu.significance import PairedTest

    texts = {name: prepared(metric, values) for name, values in outputs.items()}
    references = [prepared(metric, truth)]
    names = list(texts)
    with _seeded(seed):
        if len(names) == 1:
            scores = scorer(metric).corpus_score(texts[names[0]], references, n_bootstrap=samples)
            results = {names[0]: (scores.score, scores._mean, scores._ci, None)}
        else:
            test = PairedTest(
                [(name, texts[name]) for name in names],
                {metric: scorer(metric)},
                references=references,
                test_type="bs",
                n_samples=samples,
            )
            _, table = test()
            key = next(name for name in table if name != "System")
            results = {
                name: (r.score, r.mean, r.ci, r.p_value)
                for name, r in zip(names, table[key], strict=True)
            }
    return {
        name: {
            "score": round(float(score), 3),
            "low": round(max(0.0, float(mean - half)), 3),
            "high": round(float(mean + half), 3),
            **({"p": float(p)} if p is not None else {}),
        }
        for name, (score, mean, half, p) in results.items()
    }


@contextmanager
def _seeded(seed: int) -> Any:
    """Give sacrebleu's bootstrap a seed; it takes it from the environment only."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before


def draw_heat_map(report: Mapping[str, Any], metric: str, system: str, path: str) -> None:
    """Draw the scores of all directions as a picture; zero-shot ones in italics with a star.

    Raises:
        DataError: when matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise DataError(
            "a heat map needs matplotlib: pip install 'taglm-plugin-translation[plot]'."
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    records = report["directions"]
    down = sorted({r["from"] for r in records})
    across = sorted({r["to"] for r in records})
    values = np.full((len(down), len(across)), np.nan)
    figure, axes = plt.subplots(figsize=(1.2 + 0.75 * len(across), 1.2 + 0.55 * len(down)))
    for r in records:
        row, column = down.index(r["from"]), across.index(r["to"])
        values[row, column] = r[metric][system]["score"]
        is_zero_shot = r.get("trained") is False
        axes.text(
            column,
            row,
            f"{values[row, column]:.1f}" + ("*" if is_zero_shot else ""),
            ha="center",
            va="center",
            style="italic" if is_zero_shot else "normal",
            fontsize=8,
        )
    image = axes.imshow(values, cmap="YlGn", aspect="auto")
    figure.colorbar(image, label=metric)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set_xlabel("to")
    axes.set_ylabel("from")
    axes.set_title("* never trained", fontsize=8, loc="right")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
