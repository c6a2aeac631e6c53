"""A prompt without any tag token: the backbone as it is, for comparison."""

from small_runs import run, write_table


def test_a_prompt_without_tag_tokens_runs_and_predicts(tmp_path, toy_registry, toy_backbone):
    """Nothing is trained, and no row of the common space is a tag's."""
    table = write_table(tmp_path)
    template = "The string is {letters}. It gives <T>{kind}"
    made = run(
        tmp_path, toy_registry, toy_backbone, table, {"kind": "text"}, template, tag_length=0
    )
    found = made.predictor.predict({"letters": ["abc", "aab"]}, "dict")
    assert [type(text) for text in found["T"]] == [str, str]
    (stage,) = made.metrics["tasks"]["T"]["stages"]
    assert sum(stage["trained"].values()) == 0
    assert made.metrics["tasks"]["T"]["splits"]["test"]["rows"] > 0
