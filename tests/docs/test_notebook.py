"""The notebook of the tutorial is executed, on a clone without development data."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial" / "notebook.ipynb"


def runner():
    """Import docs/run_notebook.py."""
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "docs/run_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(cell):
    """Return what a code cell shows, as one text."""
    texts = []
    for output in cell["outputs"]:
        texts.append("".join(output.get("text", "")))
        texts += ["".join(value) for value in output.get("data", {}).values()]
    return "\n".join(texts)


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_the_text_says(tmp_path, monkeypatch):
    """Results beside baselines, a bad row with its reason, two figures, scores of three folds."""
    monkeypatch.delenv("TAGLM_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    executed = runner().run_notebook(NOTEBOOK)
    cells = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    pages = "\n".join(shown(cell) for cell in cells)
    for words in ("<td>ridge</td>", "unclosed ring", "(72, 320)", "R2 of three folds: ["):
        assert words in pages, words
    kinds = [kind for c in cells for o in c["outputs"] for kind in o.get("data", {})]
    assert kinds.count("image/png") == 2
    assert str(tmp_path) not in pages


def test_the_notebook_holds_outputs_and_no_path_of_a_machine():
    """A reader sees results without running it; `python docs/run_notebook.py` makes them."""
    content = NOTEBOOK.read_text(encoding="utf-8")
    cells = [c for c in json.loads(content)["cells"] if c["cell_type"] == "code"]
    assert all(cell["execution_count"] == i for i, cell in enumerate(cells, start=1))
    assert sum(bool(cell["outputs"]) for cell in cells) > 6
    assert "/tmp/" not in content
    assert "/home/" not in content


def test_a_cell_that_fails_fails_the_run(tmp_path):
    """The check can fail."""
    module = runner()
    cell = {"cell_type": "code", "source": ["x = 1\n", "x / 0"]}
    file = tmp_path / "bad.ipynb"
    file.write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ZeroDivisionError):
        module.run_notebook(file)
    cell["source"] = ["print(1)\n", "2 + 1"]
    file.write_text(json.dumps({"cells": [cell]}))
    stream, result = module.run_notebook(file)["cells"][0]["outputs"]
    assert (stream["text"], result["data"]["text/plain"]) == ("1\n", "3")
