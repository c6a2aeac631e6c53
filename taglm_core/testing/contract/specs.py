"""Checks that every registered object must pass, whatever its kind."""

import pickle
from typing import Any

import attrs

from taglm_core.specs.reference import is_reference, resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule


def pickles(subject: Subject) -> None:
    """The declaration survives pickling, so that worker processes can receive it."""
    again = pickle.loads(pickle.dumps(subject.spec))  # noqa: S301 - made here
    demand(again == subject.spec, "the declaration comes back from pickle as another one.")


def references_exist(subject: Subject) -> None:
    """Every "package.module:attribute" of the declaration can be imported and called."""
    for name, text in _references(subject.spec).items():
        target = resolve(text, f"{subject.item.name}, {name}")
        demand(
            callable(target) or name == "encoder",
            f"`{name}` is '{text}', which is {type(target).__name__} and cannot be called; name a "
            "function or a class.",
        )


CHECKS = (Rule(pickles), Rule(references_exist))


def _references(spec: Any) -> dict[str, str]:
    """Return field -> reference, those of a task's target included."""
    references = {}
    for holder in (spec, getattr(spec, "target", None)):
        if holder is None or not attrs.has(type(holder)):
            continue
        for field in attrs.fields(type(holder)):
            value = getattr(holder, field.name)
            is_code = isinstance(value, str) and is_reference(value)
            if is_code and field.name not in ("app", "description", "help", "template", "text"):
                references[field.name] = value
    return references
