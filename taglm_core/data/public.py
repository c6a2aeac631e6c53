"""Public data sets: read from a local copy with its checksum, or from the Hub by `datasets`.

A copy is looked for in the folder that `TAGLM_DATASETS` names, else in `datasets` of the working
folder. Only the fetching from the Hub needs a network.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.columns import find_column
from taglm_core.data.readers import read_table
from taglm_core.data.table import Table
from taglm_core.errors import DataError, UnavailableError
from taglm_core.hub import hub_access

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class PublicSet:
    """Where a public data set is to be had, and what its columns are called."""

    name: str
    """Full name of the registered dataset."""
    columns: Mapping[str, tuple[str, ...]]
    """Column as taglm names it -> names in the source, any case, the first that is there."""
    source: str
    """Where a person finds it."""
    files: tuple[str, ...] = ()
    """Names that a local copy may have, looked for in this order."""
    sha256: Mapping[str, str] = attrs.field(factory=dict)
    """File name -> checksum; a file that is not named here is taken as it is."""
    hub: str | None = None
    """Id on the Hub; None: only local copies."""
    split: str = "train"
    """Split on the Hub."""
    how: str = ""
    """What to do to get a local copy, beyond fetching it."""


def datasets_folder() -> Path:
    """Return the folder in which local copies are looked for."""
    return Path(os.environ.get("TAGLM_DATASETS") or "datasets").expanduser()


def load_public(public: PublicSet, size: int | None = None) -> dict[str, list[Any]]:
    """Read a public data set under taglm's column names.

    Args:
        public: The data set.
        size: Number of rows from the top; None: all.

    Raises:
        DataError: when there is neither a local copy nor a way to the Hub, when the checksum is
            another one, or when a column is missing.
    """
    file = local_copy(public)
    table = read_table(file) if file is not None else _from_hub(public)
    cells = table.columns
    columns = {}
    for name, (first, *others) in public.columns.items():
        advice = f"Rename the column in this copy, or fetch it again from {public.source}."
        column = find_column(cells, first, others, {}, table.source, advice)
        columns[name] = list(cells[column][:size])
    return columns


def local_copy(public: PublicSet) -> Path | None:
    """Return the local copy, its checksum compared when one is known; None when there is none.

    Raises:
        DataError: when the checksum differs.
    """
    folder = datasets_folder()
    for name in public.files:
        file = folder / name
        if not file.is_file():
            continue
        wanted = public.sha256.get(name)
        if wanted is not None:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != wanted:
                raise DataError(
                    f"{file}: the checksum is {digest[:16]}..., but {public.name} expects "
                    f"{wanted[:16]}...: another version or a damaged copy. Fetch it again from "
                    f"{public.source}, or read it as it is with --data {file}."
                )
        return file
    return None


def _from_hub(public: PublicSet) -> Table:
    if public.hub is None:
        raise UnavailableError(f"{public.name}: no local copy. {_advice(public)}")
    try:
        import datasets

        with hub_access():
            loaded = datasets.load_dataset(public.hub, split=public.split)
    except Exception as error:  # offline, unknown id, a broken download: each ends here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise UnavailableError(
            f"{public.name}: cannot be fetched from the Hub ({public.hub}): "
            f"{type(error).__name__}: {reason.rstrip('.')}. {_advice(public)}"
        ) from error
    columns = {name: list(loaded[name]) for name in loaded.column_names}
    logger.info("%s: %d rows from the Hub (%s)", public.name, len(loaded), public.hub)
    return Table(columns=columns, rows=list(range(1, len(loaded) + 1)), source=public.hub)


def _advice(public: PublicSet) -> str:
    how = f" {public.how}" if public.how else ""
    return (
        f"Without a network, put a copy named {' or '.join(public.files)} into "
        f"'{datasets_folder()}' (or the folder that TAGLM_DATASETS names). It comes from "
        f"{public.source}.{how} A file of your own is read with --data FILE."
    )
