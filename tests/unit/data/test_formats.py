"""Readers of plugins are found by extension and by name; what nobody reads says what to install."""

import types

import pytest

import taglm_core as taglm
from taglm_core.data.formats import find_reader, is_table_file
from taglm_core.data.readers import iter_tables, read_table
from taglm_core.errors import ConfigError, DataError, DuplicateNameError, PluginError
from taglm_core.plugins import load_registry


def pairs_batches(path, batch_size):
    """Read `key=value` lines."""
    cells = [line.split("=") for line in path.read_text().split()]
    for start in range(0, len(cells), batch_size):
        split = cells[start : start + batch_size]
        yield {"key": [c[0] for c in split], "value": [c[1] for c in split]}


def fails_at_once(path, batch_size):
    """Fail before the first batch."""
    raise RuntimeError("no library")


def uneven(path, batch_size):
    """Give columns of different lengths."""
    yield {"a": [1], "b": [1, 2]}


def changing(path, batch_size):
    """Give other columns later."""
    yield {"a": [1]}
    yield {"b": [1]}


def no_batch(path, batch_size):
    """Give numbers."""
    yield 7


def reader(name="kv", function="pairs_batches", **changes):
    """Return a reader whose function is named in this module."""
    return taglm.Reader(name=name, read_batches=f"{__name__}:{function}", **changes)


def registry_of(**plugins):
    """Return a registry of plugins that register readers."""
    extra = []
    for name, readers in plugins.items():
        hook = taglm.hookimpl(lambda readers=readers: readers)
        hook.__name__ = "register_readers"
        extra.append((name, types.SimpleNamespace(register_readers=_hook(readers))))
    return load_registry(only=(), extra=extra)


def _hook(readers):
    def register_readers():
        return readers

    return taglm.hookimpl(register_readers)


def test_a_plugin_reads_its_files(tmp_path):
    """By extension in any case, by a further extension, and by name."""
    registry = registry_of(own=[reader(extensions=("pairs",))])
    for name, given in (("a.kv", None), ("a.PAIRS", None), ("a.txt", "kv"), ("a.txt", "own/kv")):
        (tmp_path / name).write_text("a=1\nb=2\nc=3\n")
        table = read_table(tmp_path / name, given, registry)
        assert table.columns == {"key": ["a", "b", "c"], "value": ["1", "2", "3"]}
    assert [t.rows for t in iter_tables(tmp_path / "a.kv", 2, None, registry)] == [[1, 2], [3]]


def test_the_core_reads_its_own_formats_itself(tmp_path):
    """A plugin cannot take csv away, but its reader can be asked for by its full name."""
    (tmp_path / "a.csv").write_text("a=1\n")
    registry = registry_of(own=[reader("csv")])
    assert find_reader(tmp_path / "a.csv", None, registry).name == "core/csv"
    assert read_table(tmp_path / "a.csv", "own/csv", registry).columns["key"] == ["a"]


def test_two_plugins_with_one_extension_are_both_named(tmp_path):
    """Neither is chosen by chance; the full name chooses."""
    registry = registry_of(one=[reader()], two=[reader()])
    (tmp_path / "a.kv").write_text("a=1\n")
    with pytest.raises(DuplicateNameError, match="one/kv, two/kv"):
        read_table(tmp_path / "a.kv", registry=registry)
    assert read_table(tmp_path / "a.kv", "two/kv", registry).num_rows == 1


@pytest.mark.parametrize(
    ("name", "distribution"), [("a.sdf.gz", "chem"), ("a.fa", "protein"), ("a.smi", "chem")]
)
def test_an_extension_that_a_plugin_would_read_names_the_plugin(tmp_path, name, distribution):
    """The list of known formats and what to install."""
    (tmp_path / name).write_text("x")
    match = rf"unknown extension.*Known: \.csv.*pip install taglm-plugin-{distribution}"
    with pytest.raises(DataError, match=match):
        read_table(tmp_path / name, registry=registry_of())


def test_formats_of_plugins_are_listed_beside_those_of_the_core(tmp_path):
    """What is installed is known."""
    (tmp_path / "a.kvx").write_text("x")
    with pytest.raises(DataError, match=r"unknown extension '.kvx'. Did you mean 'kv'\?.*\.kv"):
        read_table(tmp_path / "a.kvx", registry=registry_of(own=[reader()]))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("fails_at_once", "plugin 'own'.*the reader 'own/kv' failed on .*a.kv: RuntimeError"),
        ("uneven", r"the columns have different lengths: {'a': 1, 'b': 2}"),
        ("changing", r"the columns \['b'\] after one with \['a'\]"),
        ("no_batch", "it gave 7, expected a dictionary"),
        ("missing", "cannot be imported"),
    ],
)
def test_a_reader_that_fails_is_charged_to_its_plugin(tmp_path, function, reason):
    """The user sees whose fault it is, and no traceback."""
    (tmp_path / "a.kv").write_text("a=1\n")
    with pytest.raises(PluginError, match=reason):
        read_table(tmp_path / "a.kv", registry=registry_of(own=[reader(function=function)]))


def test_words_of_a_reader_are_checked():
    """An extension with a dot would never be found."""
    for changes in ({"name": ".kv"}, {"name": "KV"}, {"extensions": ("a.b",)}):
        with pytest.raises(ConfigError, match="lower-case letters and digits without a dot"):
            reader(**{"name": "kv", **changes})


def test_general_tables_are_told_from_other_files():
    """A corpus in parallel files is named by languages, and a language may be called smi."""
    assert is_table_file("a.csv.gz")
    assert is_table_file("A.TAB")
    assert not is_table_file("corpus.smi")
    assert not is_table_file("csv")
