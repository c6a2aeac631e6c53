"""What the plugin registers, beside what the contract suite checks of it."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pluggy

import taglm_chem
from taglm_core.plugins import hookspecs, load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Encoder

HEAVY = ("rdkit", "numpy", "torch", "transformers", "pandas")
FOLDER = Path(__file__).parents[1]


def loaded_after(code):
    """Return the modules that a fresh process has loaded after running code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    return set(done.stdout.split())


def test_the_encoder_does_without_rdkit():
    """Only labels and features need it; the contract suite looks at what registering imports."""
    assert loaded_after("import taglm_chem.encoder") & set(HEAVY) == {"numpy"}


def declared():
    """Return everything that the plugin registers."""
    manager = pluggy.PluginManager("taglm")
    manager.add_hookspecs(hookspecs)
    manager.register(taglm_chem, "chem")
    manager.check_pending()
    hooks = [name for name in vars(manager.hook) if name.startswith("register_")]
    return {name: [s for part in getattr(manager.hook, name)() for s in part] for name in hooks}


def test_every_hook_answers_with_its_specs():
    """Pluggy accepts the hooks, and nothing is registered twice."""
    found = {
        kind: [getattr(s, "name", None) or s.tag for s in specs]
        for kind, specs in declared().items()
    }
    assert {kind: names for kind, names in found.items() if names} == {
        "register_domains": ["SMILES"],
        "register_tasks": ["QED", "LogP", "DC"],
        "register_templates": ["paper", "paper", "structures"],
        "register_datasets": ["qed", "logp", "molecules", "drugs", "combinations", "drugcomb_css"],
        "register_splitters": ["scaffold", "pair"],
        "register_readers": ["smi", "sdf"],
        "register_baselines": ["chemprop"],
    }


def test_core_resolves_both_tasks_in_every_prompt():
    """Names of tags, metrics, splits and datasets are found from the plugin's own place."""
    registry = load_registry(only=[], extra=[("chem", taglm_chem)])
    assert registry.failures == []
    for name, prompt in (("QED", None), ("QED", "paper"), ("LogP", None)):
        task = resolve_task(registry.tasks.get(name).spec, "chem", registry, prompt)
        assert task.function_tag == f"chem/{name}"
        assert [span.field for span in task.prompt.spans] == ["smiles"]
        assert task.split.name == "chem/scaffold"
        assert registry.datasets.get(task.spec.dataset).source.name == "chem"
    (domain,) = registry.domains
    assert registry.datasets.get(domain.spec.corpus).name == "chem/molecules"


def test_domain_has_an_encoder():
    """The domain's encoder reference gives an object of the protocol."""
    (domain,) = declared()["register_domains"]
    module, _, attribute = domain.encoder.partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute)(), Encoder)


def test_names_in_the_project_file():
    """The core finds the plugin by this entry point and reports this version."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["taglm"] == {"chem": "taglm_chem"}
    assert project["version"] == taglm_chem.__version__


def test_readme_names_everything_that_is_registered():
    """The table of the README is complete."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for kind, specs in declared().items():
        for spec in specs:
            name = getattr(spec, "name", None) or spec.tag
            expected = f"`chem/{name}`" if kind == "register_datasets" else f"`{name}`"
            assert expected in readme
