"""Deliberately broken objects, one or more for each check of the contract suite."""

import types

import attrs

import taglm_core as taglm


@attrs.frozen(kw_only=True)
class Case:
    """A broken object, the check that must fail on it, and what the reason must say."""

    kind: str
    check: str
    match: str
    plugin: object
    name: str | None = None
    """Object to look at, where the plugin registers several of the kind."""

    @property
    def id(self):
        """Short name for pytest."""
        return f"{self.kind}-{self.check}"


def plugin(**kinds):
    """Return a plugin object that registers the given objects."""
    made = types.SimpleNamespace()
    for kind, items in kinds.items():
        setattr(made, f"register_{kind}", _hook(f"register_{kind}", items))
    return made


def _hook(name, items):
    def hook():
        return items

    hook.__name__ = name
    return taglm.hookimpl(hook)


LETTERS = taglm.Dataset(
    name="letters",
    load="toy_plugin:letters",
    columns=("letters", "share_a", "length", "first"),
    description="Random strings over a, b and c.",
    license="CC0-1.0",
    generated=True,
)


def domain(**changes):
    """Return the toy domain of letters with changes."""
    given = {"tag": "Letters", "field": "letters", "encoder": "toy_plugin:LettersEncoder"}
    return taglm.Domain(**{**given, "corpus": "letters", **changes})


def task(**changes):
    """Return a toy task with changes."""
    given = {
        "name": "Share",
        "function_tag": "Share",
        "template": "The string is <Letters>{letters}. Its value is <Share>",
        "target": taglm.Regression(names=("share_a",)),
        "metrics": ("mae",),
        "dataset": "letters",
    }
    return taglm.Task(**{**given, **changes})


def letters(*, domains=None, datasets=(), **kinds):
    """Return a plugin with the letters' domain and dataset, and further objects."""
    return plugin(domains=domains or [domain()], datasets=[LETTERS, *datasets], **kinds)
