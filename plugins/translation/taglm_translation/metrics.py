"""BLEU, chrF, spBLEU and COMET, with the signatures that make figures comparable."""

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taglm_core.errors import ConfigError, UnavailableError
from taglm_translation.scripts import share_without_blanks

SPM_VARIABLE = "TAGLM_FLORES_SPM"
"""Environment variable with the path of a FLORES sentencepiece model, for spBLEU."""

SPM_URL = "https://tinyurl.com/flores200sacrebleuspm"

_LEAST_WITHOUT_BLANKS = 0.1
"""Share of letters of languages without blanks from which BLEU over words misleads."""

NAMES = ("chrf", "bleu", "spbleu")


def scorer(name: str) -> Any:
    """Return a fresh sacrebleu metric, since each remembers how it was used last.

    Args:
        name: chrf, bleu or spbleu.

    Raises:
        ConfigError: when spBLEU has no tokenizer model.
    """
    from sacrebleu.metrics import BLEU, CHRF

    if name == "chrf":
        return CHRF()
    if name == "bleu":
        return BLEU()
    if name == "spbleu":
        _tokenizer()  # its absence is told before any work is done
        return BLEU(tokenize="none", force=True)
    raise ConfigError(f"unknown metric {name!r}; known: {', '.join(NAMES)}.")


def spm_path() -> Path:
    """Return the path of the FLORES tokenizer model.

    Raises:
        UnavailableError: saying where to get it and how to name it.
    """
    chosen = os.environ.get(SPM_VARIABLE)
    usual = Path.home() / ".sacrebleu" / "models" / "flores200sacrebleuspm"
    path = Path(chosen).expanduser() if chosen else usual
    if not path.is_file():
        raise UnavailableError(
            f"spBLEU needs the FLORES-200 tokenizer model, which is not at '{path}'. Download "
            f"{SPM_URL} on a machine with network, copy it here and set {SPM_VARIABLE}=PATH; or "
            "leave spbleu out of task.metrics."
        )
    return path


def _tokenizer() -> Any:
    """Return the sentencepiece model, loaded once for each path."""
    return _loaded(str(spm_path()))


@functools.cache
def _loaded(path: str) -> Any:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor()
    try:
        model.Load(path)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{path}: not a sentencepiece model ({error}).") from error
    return model


def prepared(name: str, texts: Sequence[str]) -> list[str]:
    """Return texts as the metric compares them; spBLEU cuts them into pieces."""
    if name != "spbleu":
        return list(texts)
    model = _tokenizer()
    return [" ".join(model.EncodeAsPieces(text)) for text in texts]


def corpus_score(name: str, truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Return a corpus score from 0 to 100; NaN without rows."""
    if not len(truth):
        return float("nan")
    result = scorer(name).corpus_score(prepared(name, prediction), [prepared(name, truth)])
    return float(result.score)


def signature(name: str) -> str:
    """Return the signature of a metric, such as "nrefs:1|case:mixed|eff:no|tok:13a|..."."""
    metric = scorer(name)
    metric.corpus_score(["a"], [["a"]])  # the number of references is known afterwards
    text = str(metric.get_signature())
    if name == "spbleu":
        digest = hashlib.sha256(spm_path().read_bytes()).hexdigest()[:8]
        text = text.replace("tok:none", f"tok:flores-spm-{digest}")
    return text


def chrf(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Return chrF2 (Popović 2015), 0 to 100."""
    return corpus_score("chrf", truth, prediction)


def bleu(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Return corpus BLEU (Papineni et al. 2002) over 13a tokens, 0 to 100."""
    return corpus_score("bleu", truth, prediction)


def spbleu(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Return BLEU over FLORES sentencepiece pieces (Goyal et al. 2022), 0 to 100."""
    return corpus_score("spbleu", truth, prediction)


def bleu_doubt(truth: Sequence[str]) -> str | None:
    """Say that BLEU counts whole sentences as words where a language writes no blanks.

    Args:
        truth: References.
    """
    share = share_without_blanks(truth)
    if share < _LEAST_WITHOUT_BLANKS:
        return None
    return (
        f"its tokenizer (13a) splits words at blanks, but {share:.0%} of the letters of the "
        "references belong to languages that write none (Chinese, Japanese, Thai, ...), so that "
        "whole phrases count as words. Use chrf, or spbleu, which has a tokenizer for them: "
        "metrics: [chrf, spbleu]"
    )


def chrf_signature() -> str:
    """Return sacrebleu's signature of chrF."""
    return signature("chrf")


def bleu_signature() -> str:
    """Return sacrebleu's signature of BLEU."""
    return signature("bleu")


def spbleu_signature() -> str:
    """Return sacrebleu's signature of spBLEU, with the hash of the tokenizer model."""
    return signature("spbleu")


def comet(
    source: Sequence[str],
    truth: Sequence[str],
    prediction: Sequence[str],
    model: str = "Unbabel/wmt22-comet-da",
) -> list[float]:
    """Return COMET scores of each row.

    Args:
        source: Source sentences, which COMET reads as well.
        truth: References.
        prediction: Translations.
        model: Hub id or path of a checkpoint.

    Raises:
        ConfigError: when the extra is not installed, or the checkpoint cannot be had.
    """
    try:
        from comet import download_model, load_from_checkpoint
    except ImportError as error:
        raise ConfigError(
            "COMET is an extra: pip install 'taglm-plugin-translation[comet]'. It is large (a "
            "model of 2 GB) and brings its own torch requirements."
        ) from error
    path = model if Path(model).is_file() else _comet_checkpoint(download_model, model)
    rows = [
        {"src": s, "mt": p, "ref": t} for s, t, p in zip(source, truth, prediction, strict=True)
    ]
    result = load_from_checkpoint(path).predict(rows, batch_size=16, progress_bar=False)
    return [float(value) for value in result.scores]


def _comet_checkpoint(download: Any, model: str) -> str:
    try:
        return str(download(model))
    except Exception as error:  # network, missing model, no permission: one message
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"COMET model '{model}' cannot be loaded: {reason}. Download it where there is a "
            "network and give the path of its checkpoint."
        ) from error
