"""A plugin from an empty folder: written, installed, tested, checked and run."""

import json
import os
import resource
import subprocess
import sys

import pytest
from venvs import make_environment, pip_install


@pytest.mark.slow
def test_a_plugin_from_an_empty_folder(tmp_path):
    """Everything that the scaffold promises works at once, in under five minutes of two cores."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TAGLM", "PYTHON"))}
    clean |= {"TAGLM_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    begin = _seconds()
    python = make_environment(tmp_path / "environment")
    folder = tmp_path / "taglm-plugin-demo"

    def call(*words, cwd=folder):
        done = subprocess.run(
            [python, "-m", *words], cwd=cwd, env=clean, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    call("taglm_core.cli.main", "new-plugin", "demo", cwd=tmp_path)
    installed = pip_install(python, "-e", ".", cwd=folder)
    assert installed.returncode == 0, installed.stdout
    assert " failed" not in call("pytest", "-q")
    assert ": 60 passed" in call("taglm_core.cli.main", "check-plugin", "demo")
    call("taglm_core.cli.main", "run", "DemoContent")
    metrics = json.loads((folder / "runs" / "DemoContent" / "metrics.json").read_text())
    test = metrics["tasks"]["DemoContent"]["splits"]["test"]
    assert test["metrics"]["r2"] > 0.9
    assert test["metrics"]["rmse"] < 0.5 * test["baselines"]["mean"]["rmse"]
    spent = _seconds() - begin
    sys.stderr.write(f"\nfrom an empty folder to a run: {spent:.0f} s of processor time\n")
    assert spent < 300
    listed = json.loads(call("taglm_core.cli.main", "plugins", "--json"))
    assert "demo" in [plugin["name"] for plugin in listed["plugins"]]
    removed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "uninstall", "-y", "taglm-plugin-demo"],
        capture_output=True,
    )
    assert removed.returncode == 0
    listed = json.loads(call("taglm_core.cli.main", "plugins", "--json"))
    assert "demo" not in [plugin["name"] for plugin in listed["plugins"]]


def _seconds():
    """Return the processor time of all ended children; wall time says nothing on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
