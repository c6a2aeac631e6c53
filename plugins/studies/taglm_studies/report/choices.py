"""What a task's numbers are read by: the head that was chosen, and whether its tag is trained."""

from collections.abc import Mapping
from typing import Any

from taglm_studies.report.facts import TaskFacts
from taglm_studies.report.parts import Section, Table


def choice(task: TaskFacts) -> Section:
    """Return which head was chosen, against which others, and what became of the tag."""
    section = Section("What predicts")
    for stage in task.record.get("stages", ()):
        facts = stage.get("head_choice", {}).get(task.name, {})
        others = facts.get("others", ())
        said = f"Of {1 + len(others)} members, whose mean predicts, the first: " if others else ""
        if "chosen" in facts:
            section.notes.append(said + _head(facts))
            section.tables += [table for table in (_compared(facts),) if table.rows]
        section.notes += _tag(facts)
        for number, other in enumerate(others, start=2):
            words = " ".join([*([_head(other)] if "chosen" in other else []), *_tag(other)])
            section.notes += [f"Member {number}: {words}"] if words else []
    return section


def is_untrained(facts: Mapping[str, Any]) -> bool:
    """Return whether a choice has left the function tag untrained."""
    return facts.get("tag") == "untrained"


def _head(facts: Mapping[str, Any]) -> str:
    """Return a sentence on the head."""
    kind, _, features = str(facts["chosen"]).partition(" with ")
    if kind == "linear":
        return "The head is a linear map of the hidden states."
    if kind != "kernel":  # one with hidden layers, by what it reads
        return f"The head reads {facts['chosen']}."
    said = "The head is a kernel regression on the hidden states"
    said += f" and on {features}" if features else ""
    if "points" in facts:
        said += f", with {facts['points']:,} training rows"
    trees = facts.get("trees")
    if trees:
        said += f"; {trees['share']:.0%} of each prediction is that of boosted trees on {features}"
    return f"{said}."


def _compared(facts: Mapping[str, Any]) -> Table:
    """Return the heads that were compared, with what decided."""
    if "valid_losses" in facts:
        rows: list[list[Any]] = [list(pair) for pair in facts["valid_losses"].items()]
        return Table("Heads by what they read", ["reads", "loss on the valid split"], rows)
    columns = ["head", "squared error on the valid split", "by cross-validation"]
    rows = [
        [name, costs.get("valid"), costs.get("cross_validated")]
        for name, costs in facts.get("mean_squared_errors", {}).items()
    ]
    caption = "Heads, by mean squared error of standardized numbers, or of classes as 0 and 1"
    return Table(caption, columns, rows)


def _tag(facts: Mapping[str, Any]) -> list[str]:
    """Return a sentence on the function tag where a choice was made."""
    found = []
    if "states" in facts:
        said = (
            "The function tag is not trained: on the valid split a head with its states is not "
            "surely better than the features alone; squared errors without and with states"
        )
        found.append(_with_numbers(said, facts["states"], "without_states", "with_states"))
    if "training" in facts:
        said = (
            "The function tag is untrained, since training it gained too little"
            if is_untrained(facts)
            else "The function tag is trained, since that pays on the valid split"
        )
        said += "; squared errors on the valid split untrained and trained"
        found.append(_with_numbers(said, facts["training"], "untrained", "trained"))
    return found


def _with_numbers(said: str, compared: Mapping[str, Any], before: str, after: str) -> str:
    error = f"standard error of the difference {compared['standard_error']:.4f}"
    return f"{said}: {compared[before]:.4f} and {compared[after]:.4f}, {error}."
