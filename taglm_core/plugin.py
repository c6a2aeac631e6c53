"""What plugins use beside the declarations of `taglm_core`: tables, splits, files, the console.

The names in `__all__` are public and keep their meaning (docs: "What stays stable"); each one has
an example in docs/reference/plugin-helpers.md. They are imported on first use, so that importing
this module in the module of a plugin's entry point costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taglm_core.api.request import prepare_run
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.faults import message_of
    from taglm_core.cli.options import Address as AddressOption
    from taglm_core.cli.options import AsJson as JsonOption
    from taglm_core.cli.options import Cache as CacheOption
    from taglm_core.cli.options import Device as DeviceOption
    from taglm_core.cli.options import EngineName as EngineOption
    from taglm_core.cli.options import NumWorkers as WorkersOption
    from taglm_core.cli.options import OtherBackbone as OtherBackboneOption
    from taglm_core.cli.options import Precision as PrecisionOption
    from taglm_core.cli.options import Preset as PresetOption
    from taglm_core.cli.options import RunBackbone as BackboneOption
    from taglm_core.cli.options import Setting as SettingOption
    from taglm_core.cli.screen import (
        parse_pairs,
        print_json,
        print_line,
        print_note,
        print_table,
    )
    from taglm_core.data.answers import answer_texts
    from taglm_core.data.atomic import check_writable, read_mapping, write_json, write_text
    from taglm_core.data.atomic import jsonable as to_json
    from taglm_core.data.censoring import parse_censored
    from taglm_core.data.columns import as_value as clean_cell
    from taglm_core.data.columns import find_column, parse_classes, parse_numbers
    from taglm_core.data.formats import is_table_file
    from taglm_core.data.labels import parse_labels
    from taglm_core.data.masks import is_known, without_missing
    from taglm_core.data.missing import content as cell_content
    from taglm_core.data.missing import is_missing
    from taglm_core.data.public import PublicSet, load_public
    from taglm_core.data.readers import iter_tables, read_table
    from taglm_core.data.records import record_batches
    from taglm_core.data.rows import TaskRows
    from taglm_core.data.splitfile import find_split_column
    from taglm_core.data.splits import assign_random, bucket, parse_splits, splits_by_groups
    from taglm_core.data.table import Table
    from taglm_core.data.textfiles import open_text, read_lines, read_text
    from taglm_core.data.writers import TableWriter, write_table
    from taglm_core.hub import hub_access
    from taglm_core.inference.engines import opened_engine
    from taglm_core.inference.intervals import coverage_sentences, interval_names
    from taglm_core.inference.pictures import draw_row
    from taglm_core.inference.report import metric_rows, verdict
    from taglm_core.model.similarity import Nearest
    from taglm_core.plugins import Registered, Registry, load_registry
    from taglm_core.plugins.resolved import ResolvedTask
    from taglm_core.progress import Progress, progress_bar, shown_seconds
    from taglm_core.specs.reference import resolve as import_object
    from taglm_core.store.artifact import read_artifact
    from taglm_core.store.environment import usable_cores
    from taglm_core.store.folderlock import FolderLock
    from taglm_core.training.peak_memory import noted_peak, peak_memory, process_peak
    from taglm_core.training.settings import parse_overrides as parse_settings
    from taglm_core.training.taskfile import find_task, read_task_rows

__all__ = [
    "AddressOption",
    "BackboneOption",
    "BarProgress",
    "CacheOption",
    "DeviceOption",
    "EngineOption",
    "FolderLock",
    "JsonOption",
    "Nearest",
    "OtherBackboneOption",
    "PrecisionOption",
    "PresetOption",
    "Progress",
    "PublicSet",
    "Registered",
    "Registry",
    "ResolvedTask",
    "SettingOption",
    "Table",
    "TableWriter",
    "TaskRows",
    "WorkersOption",
    "answer_texts",
    "assign_random",
    "bucket",
    "cell_content",
    "check_writable",
    "clean_cell",
    "coverage_sentences",
    "draw_row",
    "find_column",
    "find_split_column",
    "find_task",
    "hub_access",
    "import_object",
    "interval_names",
    "is_known",
    "is_missing",
    "is_table_file",
    "iter_tables",
    "load_public",
    "load_registry",
    "message_of",
    "metric_rows",
    "noted_peak",
    "open_text",
    "opened_engine",
    "parse_censored",
    "parse_classes",
    "parse_labels",
    "parse_numbers",
    "parse_pairs",
    "parse_settings",
    "parse_splits",
    "peak_memory",
    "prepare_run",
    "print_json",
    "print_line",
    "print_note",
    "print_table",
    "process_peak",
    "progress_bar",
    "read_artifact",
    "read_lines",
    "read_mapping",
    "read_table",
    "read_task_rows",
    "read_text",
    "record_batches",
    "shown_seconds",
    "splits_by_groups",
    "to_json",
    "usable_cores",
    "verdict",
    "without_missing",
    "write_json",
    "write_table",
    "write_text",
]

_PLACES = {
    "BackboneOption": "cli.options:RunBackbone",
    "BarProgress": "cli.bars:BarProgress",
    "CacheOption": "cli.options:Cache",
    "DeviceOption": "cli.options:Device",
    "AddressOption": "cli.options:Address",
    "EngineOption": "cli.options:EngineName",
    "WorkersOption": "cli.options:NumWorkers",
    "opened_engine": "inference.engines:opened_engine",
    "FolderLock": "store.folderlock:FolderLock",
    "JsonOption": "cli.options:AsJson",
    "OtherBackboneOption": "cli.options:OtherBackbone",
    "PrecisionOption": "cli.options:Precision",
    "PresetOption": "cli.options:Preset",
    "Nearest": "model.similarity:Nearest",
    "Progress": "progress:Progress",
    "PublicSet": "data.public:PublicSet",
    "Registered": "plugins:Registered",
    "Registry": "plugins:Registry",
    "ResolvedTask": "plugins.resolved:ResolvedTask",
    "SettingOption": "cli.options:Setting",
    "Table": "data.table:Table",
    "TableWriter": "data.writers:TableWriter",
    "TaskRows": "data.rows:TaskRows",
    "answer_texts": "data.answers:answer_texts",
    "assign_random": "data.splits:assign_random",
    "bucket": "data.splits:bucket",
    "cell_content": "data.missing:content",
    "check_writable": "data.atomic:check_writable",
    "clean_cell": "data.columns:as_value",
    "coverage_sentences": "inference.intervals:coverage_sentences",
    "draw_row": "inference.pictures:draw_row",
    "find_column": "data.columns:find_column",
    "find_split_column": "data.splitfile:find_split_column",
    "find_task": "training.taskfile:find_task",
    "hub_access": "hub:hub_access",
    "import_object": "specs.reference:resolve",
    "interval_names": "inference.intervals:interval_names",
    "is_known": "data.masks:is_known",
    "is_missing": "data.missing:is_missing",
    "is_table_file": "data.formats:is_table_file",
    "iter_tables": "data.readers:iter_tables",
    "load_public": "data.public:load_public",
    "load_registry": "plugins:load_registry",
    "message_of": "cli.faults:message_of",
    "metric_rows": "inference.report:metric_rows",
    "noted_peak": "training.peak_memory:noted_peak",
    "open_text": "data.textfiles:open_text",
    "parse_censored": "data.censoring:parse_censored",
    "parse_classes": "data.columns:parse_classes",
    "parse_labels": "data.labels:parse_labels",
    "parse_numbers": "data.columns:parse_numbers",
    "parse_pairs": "cli.screen:parse_pairs",
    "parse_settings": "training.settings:parse_overrides",
    "parse_splits": "data.splits:parse_splits",
    "peak_memory": "training.peak_memory:peak_memory",
    "prepare_run": "api.request:prepare_run",
    "print_json": "cli.screen:print_json",
    "print_line": "cli.screen:print_line",
    "print_note": "cli.screen:print_note",
    "print_table": "cli.screen:print_table",
    "process_peak": "training.peak_memory:process_peak",
    "progress_bar": "progress:progress_bar",
    "read_artifact": "store.artifact:read_artifact",
    "read_lines": "data.textfiles:read_lines",
    "read_mapping": "data.atomic:read_mapping",
    "read_table": "data.readers:read_table",
    "read_task_rows": "training.taskfile:read_task_rows",
    "read_text": "data.textfiles:read_text",
    "record_batches": "data.records:record_batches",
    "shown_seconds": "progress:shown_seconds",
    "splits_by_groups": "data.splits:splits_by_groups",
    "to_json": "data.atomic:jsonable",
    "usable_cores": "store.environment:usable_cores",
    "verdict": "inference.report:verdict",
    "without_missing": "data.masks:without_missing",
    "write_json": "data.atomic:write_json",
    "write_table": "data.writers:write_table",
    "write_text": "data.atomic:write_text",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(importlib.import_module(f"taglm_core.{module}"), attribute)
