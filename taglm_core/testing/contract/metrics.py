"""Checks of metrics: known values, direction, and rows for which they are not defined."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import Broken, demand
from taglm_core.testing.contract.report import Rule

_ROWS = 40


def perfect_is_best(subject: Subject) -> None:
    """A perfect prediction gets a finite value that no other prediction beats."""
    for case, truth, perfect, worse in _cases(subject.spec.kind):
        best = _value(subject, truth, perfect)
        demand(
            math.isfinite(best),
            f"a perfect prediction ({case}) gets {best}; it should get the best value there is.",
        )
        for what, prediction in worse.items():
            value = _value(subject, truth, prediction)
            demand(
                not _is_better(subject, value, best),
                f"{what} ({case}) gets {value:.4g}, better than the {best:.4g} of a perfect one "
                f"({_direction(subject)}). Set `greater_is_better` right, or take the absolute "
                "value of the error.",
            )


def direction(subject: Subject) -> None:
    """A bad prediction gets a worse value than a perfect one, in the declared direction."""
    for case, truth, perfect, worse in _cases(subject.spec.kind):
        best, bad = _value(subject, truth, perfect), _value(subject, truth, worse["a wrong one"])
        demand(
            _is_better(subject, best, bad),
            f"a wrong prediction ({case}) gets {bad:.4g} and a perfect one {best:.4g} "
            f"({_direction(subject)}): the metric does not tell them apart, or points the other "
            "way.",
        )


def not_a_number(subject: Subject) -> None:
    """NaN in a prediction gives NaN, never a number that looks like a result."""
    for case, truth, perfect, _ in _cases(subject.spec.kind):
        broken = perfect.copy()
        broken[0] = np.nan
        value = _value(subject, truth, broken)
        demand(
            not math.isfinite(value),
            f"a prediction with NaN in one row ({case}) gets {value:.4g}. Return float('nan') "
            "unless every value is finite, so that a broken model is seen.",
        )


def constant(subject: Subject) -> None:
    """Constant predictions and constant truth never raise and never get a perfect value."""
    for case, truth, perfect, _ in _cases(subject.spec.kind):
        best = _value(subject, truth, perfect)
        flat = _repeat(perfect, 0)
        value = _value(subject, truth, flat)
        demand(
            math.isnan(value) or _is_better(subject, best, value),
            f"a constant prediction ({case}) gets {value:.4g}, as good as a perfect one. Return "
            "float('nan') where the metric is not defined.",
        )
        _value(subject, _repeat(truth, 0), flat)
        _value(subject, _repeat(truth, 0), perfect)


def single_row(subject: Subject) -> None:
    """One row never raises, and a wrong prediction of it never gets a perfect value."""
    for case, truth, perfect, worse in _cases(subject.spec.kind):
        wrong = worse["a wrong one"]
        place = _first_difference(perfect, wrong)
        _value(subject, truth[place : place + 1], perfect[place : place + 1])
        best = _value(subject, truth, perfect)
        value = _value(subject, truth[place : place + 1], wrong[place : place + 1])
        demand(
            math.isnan(value) or _is_better(subject, best, value),
            f"one row, predicted wrongly ({case}), gets {value:.4g}, as good as a perfect "
            "prediction. Return float('nan') where one row is too few.",
        )


def no_rows(subject: Subject) -> None:
    """No rows at all give NaN."""
    for case, truth, perfect, _ in _cases(subject.spec.kind):
        value = _value(subject, truth[:0], perfect[:0])
        demand(
            math.isnan(value),
            f"no rows ({case}) get {value:.4g}. Return float('nan'): there is no result.",
        )


def row_order(subject: Subject) -> None:
    """The order of the rows does not matter."""
    for case, truth, _, worse in _cases(subject.spec.kind):
        noisy = worse["a noisy one"]
        order = np.random.default_rng(3).permutation(len(truth))
        value = _value(subject, truth, noisy)
        if isinstance(truth, list):
            again = _value(subject, [truth[i] for i in order], [noisy[i] for i in order])
        else:
            again = _value(subject, truth[order], noisy[order])
        demand(
            math.isclose(value, again, rel_tol=1e-6, abs_tol=1e-9)
            or (math.isnan(value) and math.isnan(again)),
            f"the same rows in another order ({case}) get {again:.6g} instead of {value:.6g}. A "
            "metric may not depend on the order of its rows.",
        )


def doubt_answers(subject: Subject) -> None:
    """`doubt` gives None for ordinary rows and for no rows."""
    ask = resolve(subject.spec.doubt, f"metric {subject.item.name}, doubt")
    for case, truth, _, _ in _cases(subject.spec.kind):
        for rows in (truth, truth[:1], truth[:0]):
            answer = ask(rows)
            demand(
                answer is None,
                f"`doubt` returns {answer!r} for {len(rows)} ordinary rows ({case}). Give None, "
                "and a sentence only for rows on which the metric misleads.",
            )


CHECKS = (
    Rule(perfect_is_best),
    Rule(direction),
    Rule(not_a_number, lambda subject: subject.spec.kind != "text"),
    Rule(constant),
    Rule(single_row),
    Rule(no_rows),
    Rule(row_order),
    Rule(doubt_answers, lambda subject: subject.spec.doubt is not None),
)

Case = tuple[str, Any, Any, dict[str, Any]]


def _cases(kind: str) -> Iterator[Case]:
    """Yield (name, truth, perfect prediction, other predictions by name)."""
    rng = np.random.default_rng(0)
    if kind == "regression":
        for name, scale, shift in (("numbers around 0", 1.0, 0.0), ("numbers from 5 to 9", 1.2, 7)):
            truth = np.round(rng.uniform(-1, 1, _ROWS) * scale + shift, 3)
            yield (
                name,
                truth,
                truth.copy(),
                {
                    "a noisy one": truth + rng.normal(0, 0.3, _ROWS),
                    "a wrong one": 2 * truth.mean() - truth + 3 * np.sign(truth.mean() + 1e-3),
                    "one too high": truth + 2.0,
                    "one too low": truth - 2.0,
                },
            )
    elif kind == "classification":
        for classes in (2, 3):
            labels = np.arange(_ROWS) % classes
            perfect = np.eye(classes)[labels]
            wrong = np.eye(classes)[(labels + 1) % classes]
            noise = rng.dirichlet(np.ones(classes), _ROWS)
            others = {"a noisy one": (perfect + 2 * noise) / 3, "a wrong one": wrong}
            yield f"{classes} classes", labels, perfect, others
    else:
        texts = [f"the cat number {i} sat on mat {i * 7}" for i in range(_ROWS)]
        others_words = [f"zq{i}xw" for i in range(_ROWS)]
        mixed = [(texts, others_words)[i % 2][i] for i in range(_ROWS)]
        yield "texts", texts, list(texts), {"a noisy one": mixed, "a wrong one": others_words}


def _value(subject: Subject, truth: Any, prediction: Any) -> float:
    function = resolve(subject.spec.function, f"metric {subject.item.name}")
    with np.errstate(all="ignore"):
        value = function(truth, prediction)
    if not isinstance(value, float | int | np.floating | np.integer) or isinstance(value, bool):
        raise Broken(f"the metric gives {value!r} of type {type(value).__name__}; give a float.")
    return float(value)


def _is_better(subject: Subject, first: float, second: float) -> bool:
    """Say whether the first value is better than the second; anything beats NaN."""
    if math.isnan(first) or math.isnan(second):
        return math.isnan(second) and not math.isnan(first)
    gain = first - second if subject.spec.greater_is_better else second - first
    return gain > 1e-9 * max(1.0, abs(second) if math.isfinite(second) else 1.0)


def _direction(subject: Subject) -> str:
    return f"greater_is_better={subject.spec.greater_is_better}"


def _repeat(values: Any, place: int) -> Any:
    if isinstance(values, list):
        return [values[place]] * len(values)
    return np.repeat(values[place : place + 1], len(values), axis=0)


def _first_difference(first: Any, second: Any) -> int:
    return next(i for i in range(len(first)) if not np.array_equal(first[i], second[i]))
