"""Run files: what YAML 1.1 would change or drop without a word is named with its line."""

import pytest

from taglm_core.errors import ConfigError
from taglm_core.training.settings import parse_overrides, read_run_file, run_config


def read(folder, text):
    """Return the settings of a run file."""
    file = folder / "r.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return run_config("r.yaml", read_run_file(file))


TARGET = """task:
  name: T
  template: "<SMILES>{{smiles}} <T>"
  target: {{kind: classification, columns: [Y], classes: [{}]}}
"""


@pytest.mark.parametrize(
    ("word", "read_as"),
    [
        ("no", "False"),
        ("Yes", "True"),
        ("on", "True"),
        ("OFF", "False"),
        ("true", "True"),
        ("null", "None"),
        ("~", "None"),
        ("010", "8"),
        ("1:30", "90"),
        ("1:30:15.5", "5415.5"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("1e3", "1000.0"),
        ("1.50", "1.5"),
        ("2014-05-01", "the date 2014-05-01"),
        (".inf", "inf"),
    ],
)
def test_names_that_yaml_changes_need_quotes(tmp_path, word, read_as):
    """The line, what stands there and what was read are named; in quotes it is the word."""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, TARGET.format(f"{word}, other"))
    text = str(raised.value)
    assert f"line 4: 'task.target.classes': {word} is read by YAML as {read_as}" in text
    assert f'Put it in quotes: "{word}"' in text
    config = read(tmp_path, TARGET.format(f'"{word}", other'))
    assert config.task.target.classes == (word, "other")
    with pytest.raises(ConfigError, match="--set task.target.classes=.*Put it in quotes"):
        parse_overrides([f"task.target.classes=[{word}, other]"])


@pytest.mark.parametrize("words", [["0", "1"], ["-1", "1"], ["1.5", "2.0"], ["y", "n"], ["a b"]])
def test_names_that_yaml_leaves_need_none(tmp_path, words):
    """Whole numbers as classes stay what they are."""
    config = read(tmp_path, TARGET.format(", ".join(words)))
    assert config.task.target.classes == tuple(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: QED\nseed: 1\nseed: 2\n", "line 3: duplicate key 'seed', first in line 2"),
        (
            "task: QED\ndata:\n  size: 5\n  split: {column: a, column: b}\n",
            "line 4: duplicate key 'column', first in line 4",
        ),
        ("task: NO\n", "line 1: 'task': NO is read by YAML as False"),
        ("tasks: [QED, no]\n", "line 1: 'tasks': no is read by YAML as False"),
        ("task: QED\ndata: {columns: {smiles: NO}}\n", "line 2: 'data.columns.smiles': NO is"),
        ("task: QED\ndata: {columns: {no: x}}\n", "line 2: the key no is read by YAML as False"),
        ("task: QED\ndata: {split: {column: on}}\n", "'data.split.column': on is read"),
        ("task: QED\ndata: {options: {languages: [en, no]}}\n", "'data.options.languages': no is"),
        ("task: QED\nseed: 010\n", "line 2: 'seed': 010 is read by YAML as 8"),
        ("task: QED\nseed: " + "9" * 5000 + "\n", "a whole number of 5000 digits"),
        (
            "task: QED\nname: 2014-13-45\n",
            "'name': 2014-13-45 is read by YAML as the date no value",
        ),
        ('task: QED\nbackbone: "\\ud83d"\n', "line 2: 'backbone': .*half of a character"),
        ("task: Q\u00e9D\n".encode("latin1"), "r.yaml: line 1, byte 7: 0xe9 is not UTF-8"),
        ("task: QED\n".encode("utf-16"), "r.yaml: the text is UTF-16"),
        ("task: Q\0D\n", "line 1, byte 7: a NUL byte"),
        (
            "task:\n\tname: QED\n",
            r"r.yaml: not valid YAML, line 2, column 1: while scanning for the next token, [^\n]*$",
        ),
        ("? [a]\n: 1\n", "a key must be a name"),
    ],
)
def test_faults_of_run_files_are_named(tmp_path, text, message):
    """Nothing is dropped or changed without a word."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "+1e-4", "1.e-4", "0.1e-3", "1.0e-04"])
def test_numbers_without_a_point_are_numbers(tmp_path, number):
    """The file reads them as `--set` does."""
    config = read(tmp_path, f"task: QED\nstages: {{task: {{lr: {number}}}}}\n")
    assert config.stages.task.lr == 1e-4
    assert parse_overrides([f"stages.task.lr={number}"])["stages"]["task"]["lr"] == 1e-4


def test_switches_may_be_words(tmp_path):
    """Where true or false is meant, yes and no are; on and off are settings of their own."""
    text = "task: QED\ndata: {check: no}\nstages: {task: {enrich: yes, cache: off}}\n"
    config = read(tmp_path, text + "checkpointing: on\n")
    assert config.data.check is False
    assert config.stages.task.enrich is True
    assert config.stages.task.cache == "off"
    assert config.checkpointing == "on"


@pytest.mark.parametrize("text", ["\ufefftask: QED\r\nseed: 1\r\n", "task: QED\rseed: 1\r"])
def test_run_files_of_other_systems_are_read(tmp_path, text):
    """Byte order marks and line ends are no content."""
    assert read(tmp_path, text).seed == 1


def test_an_anchor_may_be_used_twice(tmp_path):
    """The same lines for two places are no key that stands twice."""
    text = "task: QED\nstages:\n  domain: &same {epochs: 2}\n  task: {<<: *same, patience: 3}\n"
    config = read(tmp_path, text)
    assert config.stages.task.epochs == config.stages.domain.epochs == 2
