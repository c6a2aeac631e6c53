"""DNA for taglm; importing this module declares things and imports no library."""

import taglm

__version__ = "0.1.0"

__all__: list[str] = []

_TEMPLATE = "The DNA sequence is <DNA>{dna}. Its %s is <%s>"
_METRICS = ("mae", "rmse", "r2", "pearson")


@taglm.hookimpl
def register_domains() -> list[taglm.Domain]:
    """Return the domain of double-stranded sequences."""
    return [
        taglm.Domain(
            tag="DNA",
            field="dna",
            aliases=("sequence", "seq", "nucleotides"),
            description="Double-stranded DNA in IUPAC letters.",
            encoder="taglm_dna.encoder:DnaEncoder",
            corpus="sequences",
            split="strand",
            canonical="taglm_dna.strands:canonical",
            augment="taglm_dna.strands:other_strand",
            features="taglm_dna.strands:composition",
        )
    ]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return the two computable tasks."""
    return [
        taglm.Task(
            name="GC",
            function_tag="GC",
            template=_TEMPLATE % ("GC content", "GC"),
            target=taglm.Regression(names=("gc",), unit="1", compute="taglm_dna.labels:gc"),
            metrics=_METRICS,
            dataset="sequences",
            description="Share of G and C, 0 to 1.",
        ),
        taglm.Task(
            name="Melting",
            function_tag="Melting",
            template=_TEMPLATE % ("melting temperature", "Melting"),
            target=taglm.Regression(
                names=("melting",), unit="deg C", compute="taglm_dna.labels:melting"
            ),
            metrics=_METRICS,
            dataset="sequences",
            description="Melting temperature by the Wallace and the Marmur-Doty rule.",
        ),
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated sequences."""
    return [
        taglm.Dataset(
            name="sequences",
            load="taglm_dna.generated:sequences",
            columns=("dna",),
            description="Random sequences of 8 to 60 bases with varying GC content; not measured.",
            license="Apache-2.0",
            generated=True,
        )
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the split that keeps the two strands of a molecule together."""
    return [
        taglm.Splitter(
            name="strand",
            field="dna",
            groups="taglm_dna.strands:molecules",
            description="A sequence and its reverse complement stay in one split.",
        )
    ]
