"""An ablation: the method with one part of it taken away or changed at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import ConfigError, nearest
from taglm_studies.study.folder import MEMBERS, Member
from taglm_studies.study.runs import merged

FULL = "full"
AS_TEXT = "as-text"
_HERE = "taglm_studies.study.runs"
_RUN_AS_TEXT = "taglm_studies.study.astext:run_as_text"


@attrs.frozen(kw_only=True)
class Variant:
    """The method with something changed."""

    settings: Mapping[str, Any]
    """Laid over those of the full method."""
    description: str


def _task(**settings: Any) -> dict[str, Any]:
    return {"stages": {"task": settings}}


_LINEAR = {"head": "linear", "features": "off", "tag": "input"}

VARIANTS: dict[str, Variant] = {
    FULL: Variant(
        settings=_task(**_LINEAR), description="all parts of the paper, with a linear head"
    ),
    "enriched": Variant(settings=_task(enrich=True), description="the domain tag is trained too"),
    "no-domain-tag": Variant(
        settings=_task(domain_tags=False), description="untrained domain tags"
    ),
    "no-function-tag": Variant(
        settings=_task(tag_length=1, max_steps=1, tag_lr=1e-9),
        description="one function token that is not trained; the head is",
    ),
    "lm-tokenizer": Variant(
        settings={"stages": {"domain": {"encoder": "text"}}},
        description="the backbone's tokenizer reads the domains, not symbols",
    ),
    AS_TEXT: Variant(
        settings={},
        description="no head: the language model writes the number or class as text; spans are "
        "causal, as for "
        "all text",
    ),
    "causal": Variant(
        settings={"attention": "causal"}, description="spans attend to all before them"
    ),
    "paper-start": Variant(
        settings=_task(head_init="mean_embedding", tag_init="mean", lr=1e-4),
        description="tags and head start from the mean embedding and take gradient steps",
    ),
    "adapter": Variant(
        settings=_task(tag="adapter"), description="the function tag acts in the layers too"
    ),
    "as-shipped": Variant(
        settings=_task(head="auto", features="auto", tag="auto"),
        description="tag, head and features as a run chooses them by itself",
    ),
}
LENGTHS = (1, 5, 20)
"""Tag lengths beside that of the full method."""


def check_variants(names: Sequence[str], lengths: Sequence[int]) -> tuple[str, ...]:
    """Return the variants of an ablation, the full method first, then tag lengths.

    Raises:
        ConfigError: for an unknown one.
    """
    for name in names:
        if name not in VARIANTS:
            raise ConfigError(
                f"--variants: unknown variant '{name}'.{nearest(name, VARIANTS)} Known: "
                f"{', '.join(VARIANTS)}."
            )
    return tuple(dict.fromkeys([FULL, *names, *(f"tag_length={n}" for n in lengths)]))


def variant_settings(name: str) -> dict[str, Any]:
    """Return the settings of a variant, laid over those of the full method."""
    full = VARIANTS[FULL].settings
    if name.startswith("tag_length="):
        length = int(name.partition("=")[2])
        own = {"stages": {"task": {"tag_length": length}, "domain": {"tag_length": length}}}
        return merged(full, own)
    return merged(full, VARIANTS[name].settings)


def ablation_members(
    path: Path,
    task: Any,
    data: str | None,
    settings: Mapping[str, Any],
    variants: Sequence[str],
    seeds: Sequence[int],
) -> list[Member]:
    """Return the members of an ablation: a run for each variant and seed.

    Args:
        path: Folder of the study.
        task: As `taglm.run` takes it.
        data: Table of rows; None: the task's own.
        settings: Of every run, nested.
        variants: As `check_variants` gives them.
        seeds: Seeds of everything that is random.
    """
    made: list[Member] = []
    for seed in seeds:
        first = Member(group=FULL, seed=seed, function="").name
        for name in variants:
            if name == AS_TEXT:  # on the rows that the full method had
                arguments: dict[str, Any] = {"full": str(path / MEMBERS / first), "seed": seed}
                as_text = Member(group=name, seed=seed, function=_RUN_AS_TEXT, needs=first)
                made.append(attrs.evolve(as_text, arguments=arguments))
                continue
            changed = merged(settings, variant_settings(name))
            if name != FULL:  # those of the full method stand beside all
                changed = merged(changed, {"baselines": ["none"]})
            arguments = {"task": task, "data": data, "settings": changed, "seed": seed}
            function = f"{_HERE}:run_task"
            made.append(
                Member(group=name, seed=seed, function=function, arguments=arguments, run=".")
            )
    return made
