"""Nothing in the core names a domain: neither code nor messages speak of molecules or proteins."""

import ast
import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[3] / "taglm_core"
WORDS = re.compile(r"smiles|(?<!nvidia-)\bsmi\b|\bsdf\b|fasta|protein|molecul|nucleotide", re.I)
EXCEPT = {
    "plugins/providers.py": "says which distribution to install for which name",
    "model/backbone.py": "its probe text is a part of every backbone's fingerprint",
}


def named(text):
    """Return the lines of code that name a domain; docstrings and help texts may give examples."""
    tree = ast.parse(text)
    examples = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            examples.add(id(node.value))  # docstrings, and notes under fields
        if isinstance(node, ast.keyword) and node.arg in ("help", "metavar"):
            examples |= {id(inner) for inner in ast.walk(node.value)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = "" if id(node) in examples else node.value
        elif isinstance(node, ast.Name | ast.FunctionDef | ast.ClassDef | ast.arg | ast.Attribute):
            word = getattr(node, "id", None) or getattr(node, "name", None)
            word = word or getattr(node, "arg", None) or getattr(node, "attr", "")
        else:
            continue
        if WORDS.search(word):
            found.append(f"{node.lineno}: {word}")
    return found


@pytest.mark.parametrize("file", sorted(str(f.relative_to(CORE)) for f in CORE.rglob("*.py")))
def test_no_module_of_the_core_names_a_domain(file):
    """What belongs to molecules or proteins lives in a plugin."""
    if file not in EXCEPT:
        assert named((CORE / file).read_text()) == []


def test_exceptions_are_needed_and_the_check_can_fail():
    """An exception without a cause would hide the next one."""
    for file in EXCEPT:
        assert named((CORE / file).read_text())
    assert named('def f():\n    """SMILES."""\n    raise ValueError("a fasta file")')
    assert named("smiles = 1")
    assert not named('def f(x: int = option(help="such as SMILES")):\n    """A molecule."""')
