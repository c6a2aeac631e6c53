"""What the plugin registers, beside what the contract suite checks of it."""

import tomllib
from pathlib import Path

import taglm_translation
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task

FOLDER = Path(__file__).parents[1]
HOOKS = [name for name in vars(taglm_translation) if name.startswith("register_")]


def specs():
    """Return everything that the plugin registers, by hook."""
    return {hook: getattr(taglm_translation, hook)() for hook in HOOKS}


def test_core_resolves_the_task_in_every_prompt():
    """Tag columns, metrics, split and datasets are found from the plugin's own place."""
    registry = load_registry(only=[], extra=[("translation", taglm_translation)])
    assert registry.failures == []
    for prompt in (None, "paper", "language-last"):
        spec = registry.tasks.get("Translate").spec
        task = resolve_task(spec, "translation", registry, prompt)
        assert task.prompt.tag_columns == ("src_lang", "tgt_lang")
        assert task.is_cross_domain
        assert task.split.name == "translation/sentence"
        assert [metric.name for metric in task.metrics] == ["chrf", "bleu"]
    for domain in registry.domains:
        assert registry.datasets.get(domain.spec.corpus).source.name == "translation"


def test_names_in_the_project_file():
    """The core finds the plugin by this entry point and reports this version."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["taglm"] == {"translation": "taglm_translation"}
    assert project["version"] == taglm_translation.__version__


def test_readme_names_everything_that_is_registered():
    """The table of the README is complete."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for hook, group in specs().items():
        for spec in group:
            name = getattr(spec, "name", None) or spec.tag
            if name.startswith("text-"):
                name = "text-en"  # one line stands for the eight corpora
            expected = f"`translation/{name}`" if hook == "register_datasets" else f"`{name}`"
            assert expected in readme, expected
