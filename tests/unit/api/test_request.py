"""Messages about settings name the file that holds them."""

import pytest

from taglm_core.api.request import prepare_run
from taglm_core.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "named"),
    [([], "my.yaml: "), ([{}, {"refit": True}], "my.yaml with the options given: ")],
)
@pytest.mark.parametrize("as_list", [True, False])
def test_a_wrong_key_is_charged_to_the_run_file(tmp_path, monkeypatch, settings, named, as_list):
    """The command gives its words as a list; "taglm run: unknown key" says not where."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("task: QED\nsed: 1\n")
    with pytest.raises(ConfigError) as caught:
        prepare_run(["my.yaml"] if as_list else "my.yaml", settings=settings, source="taglm run")
    assert str(caught.value).startswith(f"{named}unknown key 'sed'. Did you mean 'seed'?")
