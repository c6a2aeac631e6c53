"""Fixtures: the shipped tokenizer and model, and modules of the training scripts."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import taglm_nano

TRAIN = Path(__file__).parents[1] / "train"
LANGUAGES = ("en", "fr", "ru", "de", "it", "el", "es", "pt")
ROWS = 12


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


def _number(language):
    """Return the hundreds of a language's made-up tokens."""
    return 100 * (LANGUAGES.index(language) + 1)


def _sentence(language, row):
    """Return tokens that tell language and row."""
    return [_number(language) + row] * (2 + row % 3)


@pytest.fixture
def sentence() -> Callable[[str, int], list[int]]:
    """The made-up sentence of a language and a row."""
    return _sentence


@pytest.fixture
def bilingual_arrays():
    """Return the arrays of a made-up corpus of twelve sentences."""
    saved = {}

    def add(name, rows):
        saved[name + ".offsets"] = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
        saved[name + ".ids"] = np.array([i for r in rows for i in r], dtype=np.uint16)

    add("labels", [[_number(code) + 90 + second] for code in LANGUAGES for second in (0, 1)])
    for code in LANGUAGES:
        add(f"sentences.{code}", [_sentence(code, i) for i in range(ROWS)])
        add(f"damaged.{code}", [_sentence(code, i)[1:] for i in range(ROWS)])
    for source, others in {
        "massive": ("fr", "ru", "de", "it", "el"),
        "tatoeba_fr": ("fr",),
        "tatoeba_de": ("de",),
        "tatoeba_el": ("el",),
    }.items():
        for other in others:
            for code in ("en", other):
                add(f"pairs.{source}.{other}.{code}", [_sentence(code, i) for i in range(ROWS)])
    saved["vocabulary"] = np.array(900)
    return saved
