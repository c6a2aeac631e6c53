"""Fixtures: the shipped tokenizer and model, and modules of the training scripts."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import taglm_nano

TRAIN = Path(__file__).parents[1] / "train"


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the shipped model."""
    return taglm_nano.folder()


@pytest.fixture(scope="session")
def tokenizer(weights):
    """The shipped tokenizer."""
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(weights)


@pytest.fixture(scope="session")
def lm(weights):
    """The shipped model in fp32."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    return transformers.AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32).eval()


@pytest.fixture
def training_module(monkeypatch) -> Callable[[str], ModuleType]:
    """Import a module of `train/` by name, leaving nothing behind in `sys.modules`."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(TRAIN))
    yield importlib.import_module
    for name in {path.stem for path in TRAIN.glob("*.py")} - before:
        sys.modules.pop(name, None)
