"""The figures of a report: what is drawn of the test rows, of training, and of tags."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_studies.report.facts import TaskFacts
from taglm_studies.report.svg import BLUE, COLORS, GREY, ORANGE, Chart, heat_map

MOST_POINTS = 2000
MOST_TARGETS = 4
"""Targets, labels or classes that are drawn apart."""
_MOST_NUMBERS = 12
"""Classes up to which each cell of the confusion holds its number."""
_BINS = 8


@attrs.frozen
class Figure:
    """A picture with what stands below it."""

    svg: str
    caption: str


def of_regression(task: TaskFacts) -> Iterator[Figure]:
    """Draw predictions against the truth, and residuals."""
    truth, predicted = np.asarray(task.truth()), np.asarray(task.predicted())
    for k, name in enumerate(task.targets[:MOST_TARGETS]):
        known = np.isfinite(truth[:, k]) & np.isfinite(predicted[:, k])
        own, made = truth[known, k], predicted[known, k]
        if len(own):
            yield _parity(name, task.unit, own, made)
            yield _residuals(name, task.unit, own, made)
    yield from _coverage(task)


def _coverage(task: TaskFacts) -> Iterator[Figure]:
    """Draw the share of test rows in their prediction intervals against the level."""
    facts = task.record["splits"].get("test", {}).get("intervals", {})
    known = [(name, facts[name]) for name in task.targets if facts.get(name, {}).get("levels")]
    if not known:
        return
    chart = Chart("level of the interval", "share of test rows inside", (0.4, 1), (0, 1))
    chart.line([0.4, 1], [0.4, 1], GREY, "as promised", dashed=True)
    said = []
    for color, (name, own) in zip(COLORS, known[:MOST_TARGETS], strict=False):
        levels = [float(entry["level"]) for entry in own["levels"]]
        shares = [float(entry["coverage"]) for entry in own["levels"]]
        chart.line(levels, shares, color, name if len(known) > 1 else "")
        chart.points(levels, shares, color)
        pairs = dict(zip(levels, shares, strict=True))
        shown = [f"{pairs[level]:.0%} at {level:.0%}" for level in (0.5, 0.9) if level in pairs]
        said.append(f"{name}: {', '.join(shown)} of {own['rows']:,} test rows")
    caption = f"Test rows inside their prediction intervals; {'; '.join(said)}."
    yield Figure(chart.svg(caption, key_on_left=True), caption)


def _parity(name: str, unit: str, truth: np.ndarray, predicted: np.ndarray) -> Figure:
    span = _span(np.concatenate([truth, predicted]))
    unit = f" [{unit}]" if unit else ""
    chart = Chart(f"{name}, truth{unit}", f"predicted{unit}", span, span)
    chart.line(span, span, GREY, "equal", dashed=True)
    chosen = _some(len(truth))
    chart.points(truth[chosen], predicted[chosen])
    note = "" if len(chosen) == len(truth) else f" ({len(chosen):,} of {len(truth):,} rows)"
    correlation = _correlation(truth, predicted)
    alt = f"Scatter plot of predicted against true {name} of {len(truth):,} test rows"
    drawn = chart.svg(f"{alt}{correlation}.", key_on_left=True)
    return Figure(drawn, f"Predicted against true {name}{note}.")


def _residuals(name: str, unit: str, truth: np.ndarray, predicted: np.ndarray) -> Figure:
    residuals = truth - predicted
    counts, edges = np.histogram(residuals, bins=min(30, max(8, len(residuals) // 10)))
    unit = f" [{unit}]" if unit else ""
    top = float(counts.max()) * 1.05
    chart = Chart(f"{name}, truth minus prediction{unit}", "rows", _span(edges), (0, top))
    pairs = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    chart.bars(pairs, counts.tolist())
    chart.line([0, 0], [0, top], ORANGE, dashed=True)
    mean, spread = float(residuals.mean()), float(residuals.std())
    caption = f"Residuals of {name}: mean {mean:.3g}, standard deviation {spread:.3g}."
    return Figure(chart.svg(f"Histogram of residuals. {caption}"), caption)


def of_classes(task: TaskFacts) -> Iterator[Figure]:
    """Draw ROC and precision-recall curves, calibration, and the confusion of classes."""
    curves = _one_against_rest(task)
    if curves:
        yield _roc(curves)
        yield _precision_recall(curves)
        yield _calibration(curves)
    if not task.is_multi_label:
        yield _confusion(task)


def _one_against_rest(task: TaskFacts) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (class or label, whether a row has it, its probability), both kinds of rows there."""
    truth, predicted = np.asarray(task.truth()), np.asarray(task.predicted())
    found = []
    if task.is_multi_label:
        pairs = [(name, truth[:, k], predicted[:, k]) for k, name in enumerate(task.targets)]
        found = [(n, t[np.isfinite(t)] > 0, p[np.isfinite(t)]) for n, t, p in pairs]
    else:
        known = truth >= 0
        chosen = (
            range(len(task.classes))[1:] if len(task.classes) == 2 else range(len(task.classes))
        )
        found = [(task.classes[k], truth[known] == k, predicted[known, k]) for k in chosen]
    usable = [item for item in found if 0 < item[1].sum() < len(item[1])]
    return usable[: len(COLORS) - 1]


Curves = Sequence[tuple[str, np.ndarray, np.ndarray]]


def _roc(curves: Curves) -> Figure:
    from sklearn.metrics import roc_auc_score, roc_curve

    chart = Chart("false positive rate", "true positive rate", (0, 1), (0, 1))
    chart.line([0, 1], [0, 1], GREY, dashed=True)
    said = []
    for color, (name, truth, values) in zip(COLORS, curves, strict=False):
        false, true, _ = roc_curve(truth, values)
        keep = _thinned(len(false))
        area = roc_auc_score(truth, values)
        chart.line(false[keep], true[keep], color, f"{name} {area:.2f}" if len(curves) > 1 else "")
        said.append(f"{name}: {area:.3f}")
    caption = f"ROC curve; area under it: {', '.join(said)}."
    return Figure(chart.svg(caption), caption)


def _precision_recall(curves: Curves) -> Figure:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    chart = Chart("recall", "precision", (0, 1), (0, 1))
    said = []
    for color, (name, truth, values) in zip(COLORS, curves, strict=False):
        precision, recall, _ = precision_recall_curve(truth, values)
        keep = _thinned(len(recall))
        average = average_precision_score(truth, values)
        chart.line(recall[keep], precision[keep], color, name if len(curves) > 1 else "")
        if len(curves) == 1:
            chart.line([0, 1], [truth.mean()] * 2, GREY, dashed=True)
        said.append(f"{name}: {average:.3f} (share {truth.mean():.3f})")
    caption = f"Precision and recall; average precision: {', '.join(said)}."
    return Figure(chart.svg(caption), caption)


def _calibration(curves: Curves) -> Figure:
    chart = Chart("predicted probability", "observed share", (0, 1), (0, 1))
    chart.line([0, 1], [0, 1], GREY, "perfect", dashed=True)
    said = []
    for color, (name, truth, values) in zip(COLORS, curves, strict=False):
        order = np.array_split(np.argsort(values, kind="stable"), min(_BINS, len(values)))
        means = [float(values[part].mean()) for part in order]
        shares = [float(truth[part].mean()) for part in order]
        chart.line(means, shares, color, name if len(curves) > 1 else "")
        chart.points(means, shares, color)
        gap = sum(len(p) * abs(m - s) for p, m, s in zip(order, means, shares, strict=True))
        said.append(f"{name}: {gap / len(values):.3f}")
    caption = f"Calibration in bins of equal size; mean distance: {', '.join(said)}."
    return Figure(chart.svg(caption), caption)


def _confusion(task: TaskFacts) -> Figure:
    truth, predicted = np.asarray(task.truth()), np.asarray(task.predicted())
    known = truth >= 0
    count = len(task.classes)
    matrix = np.zeros((count, count))
    np.add.at(matrix, (truth[known], predicted[known].argmax(axis=1)), 1)
    right = float(np.trace(matrix) / max(matrix.sum(), 1))
    caption = f"Confusion: rows are true classes, columns predicted ones; {right:.1%} are right."
    span, has_room = (0.0, float(matrix.max())), count <= _MOST_NUMBERS
    svg = heat_map(matrix.tolist(), task.classes, task.classes, caption, span, has_room)
    return Figure(svg, caption)


def of_difficulty(task: TaskFacts, errors: np.ndarray, what: str) -> Iterator[Figure]:
    """Draw the error of test rows against their size and their similarity to training rows.

    Args:
        task: The task.
        errors: `(rows,)`, NaN where a row has none.
        what: Name of the error, such as "absolute error".
    """
    rows = task.details.get("rows") or {}
    place = {number: i for i, number in enumerate(map(str, task.predictions.get("row", ())))}
    for field, known in rows.get("fields", {}).items():
        chosen = [(k, place[str(n)]) for k, n in enumerate(rows["row"]) if str(n) in place]
        own = np.array([errors[i] for _, i in chosen])
        for key, label in _DIFFICULTIES.items():
            if key in known:
                values = np.array([known[key][k] for k, _ in chosen], dtype=float)
                figure = _against(label.format(field), what, values, own)
                if figure is not None:
                    yield figure


_DIFFICULTIES = {
    "size": "length of {} in characters",
    "similarity": "similarity of {} to the nearest training row",
}


def _against(label: str, what: str, values: np.ndarray, errors: np.ndarray) -> Figure | None:
    known = np.isfinite(values) & np.isfinite(errors)
    values, errors = values[known], errors[known]
    if len(values) < 2 or values.min() == values.max():
        return None
    chart = Chart(label, what, _span(values), (0, float(np.quantile(errors, 0.99)) * 1.1 or 1.0))
    chosen = _some(len(values))
    chart.points(values[chosen], errors[chosen], GREY)
    parts = [p for p in np.array_split(np.argsort(values, kind="stable"), _BINS) if len(p)]
    means = [float(errors[part].mean()) for part in parts]
    spans = [
        1.96 * float(errors[p].std(ddof=1)) / len(p) ** 0.5 if len(p) > 1 else 0 for p in parts
    ]
    places = [float(np.median(values[part])) for part in parts]
    chart.band(
        places,
        [m - s for m, s in zip(means, spans, strict=True)],
        [m + s for m, s in zip(means, spans, strict=True)],
    )
    chart.line(places, means, BLUE, "mean")
    caption = (
        f"The {what} against the {label}: mean {means[0]:.3g} on the left, {means[-1]:.3g} on "
        "the right; bars are 95 % intervals of the mean."
    )
    return Figure(chart.svg(caption), caption)


def of_learning(stages: Sequence[Mapping[str, Any]], metric: str | None) -> Iterator[Figure]:
    """Draw the learning curve of each stage that was trained in steps."""
    for stage in stages:
        history = [record for record in stage.get("history", ()) if "step" in record]
        names = [key for key in (history[0] if history else {}) if key != "step"]
        name = metric if metric in names else next(iter(names), None)
        if name is None or len(history) < 2:
            continue
        pairs = [(r["step"], r[name]) for r in history if r.get(name) is not None]
        steps, values = [float(s) for s, _ in pairs], [float(v) for _, v in pairs]
        chart = Chart("step", f"validation {name}", (0, max(steps)), _span(np.array(values)))
        chart.line(steps, values)
        chart.points(steps, values)
        caption = (
            f"Stage {stage.get('stage')}, <{stage.get('tag')}>: validation {name} "
            f"from {values[0]:.4g} to {values[-1]:.4g} in {steps[-1]:.0f} steps."
        )
        yield Figure(chart.svg(caption), caption)


def of_tags(geometry: Mapping[str, Any]) -> Iterator[Figure]:
    """Draw the norms of tag tokens and the cosine of each pair."""
    tokens = geometry["tokens"]
    norms = [float(token["norm"]) for token in tokens]
    mean = float(geometry["vocabulary_norm"])
    names = list(dict.fromkeys(token["tag"] for token in tokens))
    chart = Chart("tag token", "norm", (0, len(tokens)), (0, max([*norms, mean]) * 1.1), True)
    places: list[float] = []
    for color, name in zip(COLORS * len(names), names, strict=False):
        own = [i for i, token in enumerate(tokens) if token["tag"] == name]
        chart.bars([(i, i + 1) for i in own], [norms[i] for i in own], color)
        places.append((own[0] + own[-1] + 1) / 2)
    chart.names(places, [f"<{name.rpartition('/')[2]}>" for name in names])
    chart.line([0, len(tokens)], [mean, mean], "#1a1a1a", "vocabulary", dashed=True)
    caption = f"Norm of each tag token; the mean of the vocabulary is {mean:.3g}."
    yield Figure(chart.svg(caption), caption)
    labels = [f"<{t['tag'].rpartition('/')[2]}> {t['token']}" for t in tokens]
    caption = "Cosine of each pair of tag tokens, from -1 (white) to 1 (blue)."
    yield Figure(heat_map(geometry["cosine"], labels, labels, caption, (-1, 1), False), caption)


def of_directions(task: TaskFacts) -> Iterator[Figure]:
    """Draw the first metric of each pair of tags that columns name, such as languages."""
    groups = task.record["splits"].get("test", {}).get("groups", ())
    metric = task.record.get("metric", {}).get("name")
    columns = list(groups[0]["tags"]) if groups else []
    if len(columns) != 2 or metric is None:
        return
    names = [list(dict.fromkeys(str(g["tags"][c]) for g in groups)) for c in columns]
    cells: dict[tuple[str, str], float | None] = {
        (str(g["tags"][columns[0]]), str(g["tags"][columns[1]])): g["metrics"].get(metric)
        for g in groups
    }
    matrix = [[cells.get((row, column)) for column in names[1]] for row in names[0]]
    unseen = sum(not group["trained"] for group in groups)
    caption = (
        f"{metric} of each direction, from {columns[0]} (rows) to {columns[1]} (columns); "
        f"{unseen} of {len(groups)} directions were never trained."
    )
    yield Figure(heat_map(matrix, names[0], names[1], caption), caption)


def _span(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    margin = (high - low) * 0.04
    return low - margin, high + margin


def _some(count: int) -> np.ndarray:
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, MOST_POINTS, replace=False))


def _thinned(count: int) -> np.ndarray:
    """Return indices of at most 300 points of a curve, its ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, 300)).astype(int))


def _correlation(truth: np.ndarray, predicted: np.ndarray) -> str:
    if len(truth) < 3 or truth.std() == 0 or predicted.std() == 0:
        return ""
    return f"; Pearson correlation {np.corrcoef(truth, predicted)[0, 1]:.3f}"
