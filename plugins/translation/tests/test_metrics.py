"""Metrics through sacrebleu, their signatures, and what is said when something is missing."""

import math

import pytest
import sentencepiece

from taglm_core.errors import ConfigError, UnavailableError
from taglm_translation import metrics

TRUTH = ["The cat sits on the mat.", "It is raining today.", "We go home."]
CLOSE = ["The cat sat on the mat.", "It rains today.", "We go home."]


@pytest.fixture
def spm(tmp_path, monkeypatch):
    """Train a tiny sentencepiece model and name it in the environment."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join([*TRUTH, *CLOSE] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "m"), vocab_size=27, minloglevel=2
    )
    monkeypatch.setenv("TAGLM_FLORES_SPM", str(tmp_path / "m.model"))


def test_perfect_and_useless_translations():
    """Both ends of the scale, and no value without rows."""
    for function in (metrics.chrf, metrics.bleu):
        assert function(TRUTH, TRUTH) == pytest.approx(100)
        assert function(TRUTH, ["zzz"] * 3) < 1
        assert 30 < function(TRUTH, CLOSE) < 95
        assert math.isnan(function([], []))


def test_signatures_name_version_and_tokenization():
    """What sacrebleu prints beside a figure is kept."""
    import sacrebleu

    assert metrics.bleu_signature() == (
        f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    )
    assert "nc:6|nw:0" in metrics.chrf_signature()


def test_spbleu_reads_a_local_model(spm):
    """Pieces are compared, and the signature carries the model's hash."""
    assert metrics.spbleu(TRUTH, TRUTH) == pytest.approx(100)
    assert metrics.bleu(TRUTH, CLOSE) != pytest.approx(metrics.spbleu(TRUTH, CLOSE), abs=0.1)
    assert "tok:flores-spm-" in metrics.spbleu_signature()


def test_spbleu_without_a_model_says_where_to_get_it(tmp_path, monkeypatch):
    """The message names the address and the variable; a broken file is named too."""
    monkeypatch.setenv("TAGLM_FLORES_SPM", str(tmp_path / "none.model"))
    with pytest.raises(UnavailableError, match=r"Download https://.*TAGLM_FLORES_SPM=PATH"):
        metrics.spbleu(TRUTH, CLOSE)
    (tmp_path / "none.model").write_text("nonsense")
    with pytest.raises(ConfigError, match="not a sentencepiece model"):
        metrics.spbleu(TRUTH, CLOSE)


def test_comet_is_an_extra():
    """Without the package the message names the extra."""
    with pytest.raises(ConfigError, match=r"taglm-plugin-translation\[comet\]"):
        metrics.comet(["a"], ["b"], ["c"])


def test_comet_gets_source_translation_and_reference(monkeypatch, tmp_path):
    """The package is called as it wants to be."""
    import sys
    from types import SimpleNamespace

    seen = []

    def predict(rows, **options):
        seen.extend(rows)
        return SimpleNamespace(scores=[0.5] * len(rows))

    fake = SimpleNamespace(
        download_model=lambda name: "path",
        load_from_checkpoint=lambda path: SimpleNamespace(predict=predict),
    )
    monkeypatch.setitem(sys.modules, "comet", fake)
    assert metrics.comet(["s"], ["t"], ["p"]) == [0.5]
    assert seen == [{"src": "s", "mt": "p", "ref": "t"}]
