"""The stamp of code, and which packages belong to installed plugins."""

from taglm_core.specs.codestamp import code_stamp, distributions


def test_plugins_are_those_of_the_present_path(tmp_path, monkeypatch):
    """A plugin that was beside the program and is gone is not remembered, nor is its stamp."""
    found = tmp_path / "taglm_plugin_gone-0.1.dist-info"
    found.mkdir()
    (found / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: taglm-plugin-gone\nVersion: 0.1\n"
    )
    (found / "entry_points.txt").write_text("[taglm]\ngone = taglm_gone\n")
    (tmp_path / "taglm_gone.py").write_text("value = 1\n")
    before = code_stamp("taglm_gone:value")
    with monkeypatch.context() as beside:
        beside.syspath_prepend(str(tmp_path))
        assert distributions()["taglm_gone"] == "taglm-plugin-gone"
        assert code_stamp("taglm_gone:value") != before
    assert "taglm_gone" not in distributions()
    assert code_stamp("taglm_gone:value") == before
