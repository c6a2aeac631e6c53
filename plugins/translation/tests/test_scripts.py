"""Languages in another script, and scores that split words at blanks where there are none."""

import pytest

from taglm_core.inference.scores import metric_doubts
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_translation import scripts
from taglm_translation.metrics import bleu_doubt


@pytest.mark.parametrize(
    "texts",
    [
        ["猫坐在垫子上。", "我们明天去"],
        ["猫がマットの上に座っている"],
        ["แมวนั่งบนเสื่อ"],
        ["ຂ້ອຍຮັກເຈົ້າ"],
    ],
    ids=["zh", "ja", "th", "lo"],
)
def test_bleu_of_languages_without_blanks_is_doubted(texts):
    """Whole sentences would count as one word each."""
    assert "splits words at blanks" in bleu_doubt(texts)
    assert "chrf" in bleu_doubt(texts)


@pytest.mark.parametrize(
    "texts", [["the cat sat"], ["Кошка сидит"], ["Η γάτα"], ["고양이가 앉았다"], []]
)
def test_bleu_of_languages_with_blanks_is_not(texts):
    """A few borrowed signs do not matter either."""
    assert bleu_doubt(texts) is None
    assert bleu_doubt([*texts, "a long sentence in English with one sign: 猫"]) is None


def test_a_task_is_told_before_training():
    """Each metric is asked about the references."""
    registry = load_registry()
    found = registry.tasks.get("Translate")
    task = resolve_task(found.spec, found.source.name, registry)
    (said,) = metric_doubts(task, ["猫坐在垫子上。"])
    assert said.startswith("bleu: its tokenizer (13a) splits words at blanks, but 100%")
    assert metric_doubts(task, ["the cat"]) == []


def test_texts_in_another_script_are_doubtful():
    """English may not be told from French by its letters, but from Greek it can."""
    assert scripts.doubt_el(["Η γάτα κάθεται", "the cat sits"]) == [
        None,
        "text in another script than Greek (Latin letters)",
    ]
    assert scripts.doubt_en(["the cat", "猫坐在垫子上", "ok", "the COVID-19 вирус"])[1:] == [
        "text in another script than English (Chinese letters)",
        None,
        None,
    ]
    with pytest.raises(AttributeError):
        scripts.doubt_xx  # noqa: B018 - asked for on purpose
