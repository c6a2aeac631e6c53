"""Every distribution builds, and the chem plugin alone brings all that a run needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from venvs import make_environment_for

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = [
    ROOT,
    *(ROOT / "plugins" / name for name in ("nano", "chem", "protein", "serve", "studies")),
]


def call(*command, **options):
    """Run a command and show what it said when it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.mark.slow
def test_the_chem_plugin_installs_from_wheels_and_runs(tmp_path):
    """`pip install taglm-plugin-chem` beside what it requires and nothing else, then a run."""
    wheels = tmp_path / "wheels"
    for folder in DISTRIBUTIONS:
        build = ("--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", wheels)
        call(sys.executable, "-m", "build", *build, folder)
    names = sorted(path.name.split("-")[0] for path in wheels.iterdir())
    plugins = ["taglm_plugin_chem", "taglm_plugin_protein", "taglm_plugin_serve"]
    plugins.append("taglm_plugin_studies")
    assert names == ["taglm", "taglm_backbone_nano", *plugins]
    assert max(path.stat().st_size for path in wheels.iterdir()) < 12_000_000
    environment = tmp_path / "empty"
    python = make_environment_for(environment, "taglm-plugin-chem")
    # pip finds no index: what the wheels require has to be among what was linked, and fits
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-index"]
    call(*install, "--find-links", wheels, "taglm-plugin-chem")
    taglm = environment / "bin" / "taglm"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TAGLM", "PYTHON"))}
    clean["TAGLM_HOME"] = str(tmp_path / "home")
    small = ["data.size=200", "stages.domain.size=200", "stages.domain.max_steps=4"]
    small += ["stages.task.max_steps=4"]
    settings = [word for value in small for word in ("--set", value)]
    call(taglm, "run", "QED", "--preset", "quick", *settings, cwd=tmp_path, env=clean)
    metrics = json.loads((tmp_path / "runs" / "QED" / "metrics.json").read_text())
    assert metrics["backbone"]["name"] == "nano"
    test = metrics["tasks"]["QED"]["splits"]["test"]
    assert test["rows"] > 0
    assert test["metrics"]["mae"] < 0.3
    (tmp_path / "mine.smi").write_text("CCO ethanol\n")
    call(taglm, "predict", "runs/QED", "-i", "mine.smi", "-o", "out.csv", cwd=tmp_path, env=clean)
    assert (tmp_path / "out.csv").read_text().splitlines()[
        0
    ] == "smiles,name,QED,training_similarity,unlike_training,error"
    call(taglm, "new-plugin", "demo", cwd=tmp_path, env=clean)  # its templates are in the wheel
    assert (tmp_path / "taglm-plugin-demo" / ".github" / "workflows" / "tests.yml").is_file()
