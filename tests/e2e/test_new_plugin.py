"""A plugin from an empty folder: written, installed, tested, checked and run."""

import json
import resource
import subprocess
import sys

import pytest
from pagerunner import DOCS, run_page


@pytest.mark.slow
def test_a_plugin_from_an_empty_folder(tmp_path):
    """Everything that the tutorial promises works at once, in under five minutes of two cores."""
    begin = _seconds()
    shell = run_page(DOCS / "tutorial" / "first-plugin.md", tmp_path)
    metrics = json.loads((shell.folder / "runs" / "DNAContent" / "metrics.json").read_text())
    test = metrics["tasks"]["DNAContent"]["splits"]["test"]
    assert test["metrics"]["r2"] > 0.9
    assert test["metrics"]["rmse"] < 0.5 * test["baselines"]["mean"]["rmse"]
    spent = _seconds() - begin
    sys.stderr.write(f"\nfrom an empty folder to a run: {spent:.0f} s of processor time\n")
    assert spent < 300
    pip = [sys.executable, "-m", "pip", "--python", shell.python]
    for expected in (True, False):
        listing = [shell.python, "-m", "taglm_core.cli.main", "plugins", "--json"]
        listed = json.loads(subprocess.run(listing, capture_output=True, check=True).stdout)
        assert ("demo" in [plugin["name"] for plugin in listed["plugins"]]) == expected
        if expected:
            remove = [*pip, "uninstall", "-y", "taglm-plugin-demo"]
            subprocess.run(remove, capture_output=True, check=True)


def _seconds():
    """Return processor time, of ended children too; wall time says nothing on a busy machine."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))
