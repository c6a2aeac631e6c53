"""Fields of specs that name code: what plugins must give, and what they may leave out."""

import pytest

import taglm_core as taglm
from taglm_core.errors import ConfigError

SPECS = {
    "TagFolder.path": lambda path: taglm.TagFolder(name="own", path=path),
    "Dataset.load": lambda path: taglm.Dataset(name="own", load=path, columns=("a",)),
    "Metric.function": lambda path: taglm.Metric(name="own", function=path, kind="text"),
    "Head.module": lambda path: taglm.Head(name="own", module=path),
    "Command.app": lambda path: taglm.Command(name="own", help="Own.", app=path),
    "Engine.open": lambda path: taglm.Engine(name="own", open=path),
    "Reader.read_batches": lambda path: taglm.Reader(name="own", read_batches=path),
    "Baseline.function": lambda path: taglm.Baseline(name="own", function=path),
    "Logger.open": lambda path: taglm.Logger(name="own", open=path),
    "Domain.encoder": lambda path: taglm.Domain(tag="Own", field="own", encoder=path),
    "Domain.sample_metrics": lambda path: taglm.Domain(
        tag="Own", field="own", encoder="text", sample_metrics={"own": path}
    ),
}


@pytest.mark.parametrize("field", SPECS)
@pytest.mark.parametrize("value", [None, "", "own", 3])
def test_what_names_code_demands_a_reference(field, value):
    """Else the fault would show much later, where the code is first used."""
    spec, _, name = field.partition(".")
    message = f"{spec}: {name} must be 'package.module:attribute', not {value!r}"
    with pytest.raises(ConfigError, match=f"^{message}"):
        SPECS[field](value)
    assert SPECS[field]("own.module:thing") is not None


def test_an_optional_reference_may_be_left_out():
    """None is no reference, and another text is still refused."""
    assert taglm.Splitter(name="own", groups="own:groups", assign=None).assign is None
    with pytest.raises(ConfigError, match="Splitter: assign must be"):
        taglm.Splitter(name="own", assign="own")
