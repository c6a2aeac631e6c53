"""What can be wrong with the rows of a run: leaks, contradictions, outliers, odd units."""

from typing import Any

import numpy as np

from taglm_core import Classification, Regression, RowsLoaded
from taglm_core.errors import counted
from taglm_core.plugin import without_missing
from taglm_studies import findings
from taglm_studies.similarity import near_rows
from taglm_studies.units import odd_units


def look_over(event: RowsLoaded) -> dict[str, Any]:
    """Look through the rows of a run.

    Returns:
        `summary`, at least one line, and `report`, plain data with the first rows as examples.
    """
    keys = _keys(event)
    equal = findings.equal_rows(keys)
    report: dict[str, Any] = {
        "between_splits": findings.between_splits(equal, event.splits, event.numbers),
        "fields": {name: _field(event, name) for name in event.fields},
        "targets": {},
    }
    for name, values in _targets(event).items():
        numbers = isinstance(event.target, Regression)
        result: dict[str, Any] = {
            "missing": sum(value is None or value != value for value in values),
            "conflicts": findings.conflicts(equal, values, event.numbers),
        }
        if numbers:
            measured = np.asarray(values, dtype=np.float64)
            result["outliers"] = findings.outliers(measured, event.numbers)
            unit = event.target.unit if isinstance(event.target, Regression) else ""
            result["units"] = odd_units(measured, f"{name} {unit}", event.numbers)
        report["targets"][name] = result
    summary = [_summary(event, report)]
    return {"summary": summary, "report": {"summary": summary, **report}}


def _keys(event: RowsLoaded) -> list[Any]:
    """Return what makes an input the same: all fields, in either order of a symmetric task."""
    columns = {**event.fields, **event.texts}
    pairs = [pair for pair in event.symmetric if pair[0] in columns]
    moved = {field for pair in pairs for field in pair}
    fixed = [values for name, values in columns.items() if name not in moved]
    keys = []
    for row in range(len(event.numbers)):
        sides = tuple(sorted(tuple(columns[pair[side]][row] for pair in pairs) for side in (0, 1)))
        keys.append((sides if pairs else (), *(values[row] for values in fixed)))
    return keys


def _targets(event: RowsLoaded) -> dict[str, list[Any]]:
    """Return target -> its values, classes by their names."""
    target, truth = event.target, event.truth
    if isinstance(target, Regression):
        return {n: [float(v) for v in truth[:, k]] for k, n in enumerate(target.names)}
    if isinstance(target, Classification):
        if target.multi_label:
            return {n: without_missing(truth[:, k]) for k, n in enumerate(target.names)}
        names = target.classes or ()
        return {target.names[0]: [names[k] if k < len(names) else int(k) for k in truth]}
    return {"text": list(truth)}


def _field(event: RowsLoaded, name: str) -> dict[str, Any]:
    """Compare the distinct values of the test split with those of the training split."""
    sides = {name, *(b if a == name else a for a, b in event.symmetric if name in (a, b))}
    train, test = (
        dict.fromkeys(
            value
            for side in sorted(sides)
            for value, row_split in zip(event.fields[side], event.splits, strict=True)
            if row_split == split
        )
        for split in ("train", "test")
    )
    new = [value for value in test if value not in train]
    report: dict[str, Any] = {
        "test_values": len(test),
        "also_in_train": len(test) - len(new),
        "new": len(new),
    }
    if new and train and name in event.features:
        report["near"] = near_rows(event.features[name], new, list(train), event.seed)
    return report


def _summary(event: RowsLoaded, report: dict[str, Any]) -> str:
    said = []
    leaks = report["between_splits"]["groups"].get("test-train", 0)
    has_examples = leaks > 0
    said.append(f"{counted(leaks, 'input')} in train and test")
    for name, facts in report["fields"].items():
        text = f"{name}: {facts['new']:,} of {facts['test_values']:,} test values new"
        near = facts.get("near")
        if near and near["count"]:
            text += (
                f", {near['count']} of {near['compared']} compared are nearly equal to one in train"
            )
        said.append(text)
    for name, facts in report["targets"].items():
        if facts["missing"]:
            said.append(f"{name}: missing in {counted(facts['missing'], 'row')}")
        conflicts, outliers = facts["conflicts"]["groups"], facts.get("outliers", {}).get("count")
        if conflicts:
            said.append(f"{name}: {counted(conflicts, 'input')} with different values")
        if outliers:
            said.append(f"{name}: {counted(outliers, 'outlier')}")
        has_examples |= bool(conflicts or outliers)
        said += [f"{name}: {doubt['what']}" for doubt in facts.get("units", ())]
    where = " (data_check.json lists them)" if has_examples else ""
    return "; ".join(said) + where
