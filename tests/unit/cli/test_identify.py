"""`taglm identify`: what its words are."""

import pytest

from taglm_core.cli.identify import identify
from taglm_core.errors import ConfigError


@pytest.mark.parametrize("name", ["lab.csv", "nosuch.csv.gz", "lab.smi"])
def test_a_file_is_no_text(tmp_path, monkeypatch, name):
    """Its name would be ranked as if it were a text of some domain."""
    monkeypatch.chdir(tmp_path)
    for there in ("lab.csv", "lab.smi"):
        (tmp_path / there).write_text("CCO")
    with pytest.raises(ConfigError, match=f"'{name}' is the name of a file.*--input {name}"):
        identify(["CCO", name])


@pytest.mark.parametrize("option", ["column", "label"])
def test_columns_are_of_a_table(option):
    """Words have none."""
    with pytest.raises(ConfigError, match=f"--{option} names a column of a table"):
        identify(["CCO"], **{option: "kind"})
