"""The core's own registrations, through the same hooks as any plugin's."""

from taglm_core.plugins.compatibility import core_version
from taglm_core.plugins.discovery import PluginSource
from taglm_core.plugins.hookspecs import hookimpl
from taglm_core.specs import Command, Engine, Head, Metric, Reader, Splitter

CORE = PluginSource(name="core", distribution="taglm", version=core_version())
"""Who registers what is built in."""

TABLE_READERS = (
    Reader(
        name="csv",
        read_batches="taglm_core.data.textformats:csv_batches",
        description="comma-separated text with a header line; quotes as in RFC 4180",
        example='a,b\n1,"x, y"\n2,z\n',
    ),
    Reader(
        name="tsv",
        read_batches="taglm_core.data.textformats:tsv_batches",
        extensions="tab",
        description="tab-separated text with a header line, without quotes",
        example="a\tb\n1\tx\n2\ty\n",
    ),
    Reader(
        name="jsonl",
        read_batches="taglm_core.data.textformats:jsonl_batches",
        description="one JSON object a line; the columns are the keys of all lines",
        example='{"a": 1, "b": "x"}\n{"a": 2}\n',
    ),
    Reader(
        name="parquet",
        read_batches="taglm_core.data.parquet:parquet_batches",
        compressible=False,
        description="Apache Parquet; numbers stay numbers",
    ),
    Reader(
        name="xlsx",
        read_batches="taglm_core.data.excel:xlsx_batches",
        extensions="xlsm",
        compressible=False,
        description="a sheet of an Excel workbook; numbers stay numbers (extra `excel`)",
    ),
)
"""General table formats, which are read without a look at plugins."""


@hookimpl
def register_splitters() -> list[Splitter]:
    """The random split, which keeps nothing apart but equal rows."""
    return [
        Splitter(
            name="random",
            assign="taglm_core.data.splits:assign_random",
            description="80/10/10 by seed; equal rows stay together, nothing else is kept apart",
        ),
        Splitter(
            name="row",
            assign="taglm_core.data.splits:assign_random",
            whole_rows=True,
            description="80/10/10 by seed; rows equal in every field, words too, stay together",
        ),
    ]


@hookimpl
def register_commands() -> list[Command]:
    """The contract suite, of which the program knows no more than of a plugin's command."""
    return [
        Command(
            name="check-plugin",
            help="Check every object that a plugin registers; exit code 1 if a check fails.",
            app="taglm_core.testing.command:check_plugin",
        )
    ]


@hookimpl
def register_heads() -> list[Head]:
    """The paper's head, and one with hidden layers."""
    return [
        Head(
            name="linear",
            module="taglm_core.model.heads:LinearHead",
            description="linear map without bias on the last tag token of the function tag (paper)",
        ),
        Head(
            name="mlp",
            module="taglm_core.model.heads:MLPHead",
            description="hidden layers (units=64, layers=2, dropout=0.1); often better for pairs "
            "of inputs, and larger",
        ),
    ]


@hookimpl
def register_metrics() -> list[Metric]:
    """The usual metrics; references only, numpy is imported when one is computed."""
    from taglm_core.specs.metrics import METRICS

    return list(METRICS)


@hookimpl
def register_readers() -> list[Reader]:
    """The general table formats."""
    return list(TABLE_READERS)


@hookimpl
def register_engines() -> list[Engine]:
    """This process, which runs one part after the other."""
    return [
        Engine(
            name="local",
            open="taglm_core.inference.engines:open_local",
            description="this process, one part after the other; finished parts are stored",
        )
    ]
