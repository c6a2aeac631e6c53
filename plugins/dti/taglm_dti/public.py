"""Public sets of measured affinities, from the Hub or from local copies; nothing is shipped."""

from typing import Any

from taglm_core.plugin import PublicSet, load_public

BINDING_AFFINITY = PublicSet(
    name="dti/binding_affinity",
    hub="jglaser/binding_affinity",
    files=("binding_affinity.parquet", "binding_affinity.csv", "binding_affinity.csv.gz"),
    columns={
        "smiles": ("smiles_can", "smiles"),
        "sequence": ("seq", "sequence"),
        "affinity": ("neg_log10_affinity_M",),
    },
    source="https://huggingface.co/datasets/jglaser/binding_affinity",
)
BINDINGDB_PATENT = PublicSet(
    name="dti/bindingdb_patent",
    files=("bindingdb_patent.csv", "bindingdb_patent.tab", "bindingdb_patent.parquet"),
    columns={
        "smiles": ("Drug",),
        "sequence": ("Target",),
        "affinity": ("Y",),
        "year": ("Year",),
    },
    source="https://tdcommons.ai/benchmark/dti_dg_group (BindingDB_Patent)",
    how=(
        "Y stays in the scale of the file, which is no -log10 mol/L. The files train_val.csv and "
        "test.csv of its benchmark are read as they are: --data train_val.csv --split time --set "
        "data.test_file=test.csv."
    ),
)


def binding_affinity(*, seed: int = 0, size: int | None = None) -> dict[str, list[Any]]:
    """Read the affinities collected by J. Glaser.

    Args:
        seed: Not used; the rows are always the same.
        size: Number of rows from the top; None: all.

    Raises:
        DataError: when there is neither a local copy nor a network.
    """
    return load_public(BINDING_AFFINITY, size)


def bindingdb_patent(*, seed: int = 0, size: int | None = None) -> dict[str, list[Any]]:
    """Read the affinities of patents in BindingDB, with their years.

    Args:
        seed: Not used; the rows are always the same.
        size: Number of rows from the top; None: all.

    Raises:
        DataError: when there is no local copy.
    """
    return load_public(BINDINGDB_PATENT, size)
