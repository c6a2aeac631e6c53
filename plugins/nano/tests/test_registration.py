"""Registering the backbone costs nothing."""

import subprocess
import sys

import pytest

import taglm_nano

PROBE = """
import sys
import taglm_nano
taglm_nano.folder()
{more}
heavy = [name for name in ("torch", "transformers", "numpy", "taglm_core") if name in sys.modules]
sys.exit(", ".join(heavy))
"""


def run(more=""):
    """Run the probe in a fresh process and return what it complains about."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(more=more)], capture_output=True, text=True, check=False
    )
    return done.stderr.strip()


def test_import_loads_nothing_heavy():
    """`taglm plugins` imports every plugin, so importing must be cheap."""
    assert "" == run()


def test_the_probe_can_fail():
    """Without this the test above might never see anything."""
    pytest.importorskip("numpy")
    assert "numpy" in run("import numpy")


def test_backbone_is_registered():
    """The core finds the model under the name nano by the reference that the plugin gives."""
    pytest.importorskip("taglm_core")
    (backbone,) = taglm_nano.register_backbones()
    assert ("nano", "taglm_nano:folder") == (backbone.name, backbone.path)
    assert "Apache-2.0" == backbone.license


def test_folder_holds_a_model():
    """The package carries its weights."""
    names = {path.name for path in taglm_nano.folder().iterdir()}
    wanted = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert wanted | {"tokenizer_config.json"} <= names
