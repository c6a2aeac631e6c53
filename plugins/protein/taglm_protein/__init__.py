"""Proteins for taglm: the Protein domain, the tasks Descriptor and ProtParam, cluster splits.

Importing this module only declares things; Biopython is imported when labels are computed.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_domains() -> list[taglm.Domain]:
    """Return the domain of proteins written as residue letters."""
    return [
        taglm.Domain(
            tag="Protein",
            field="sequence",
            # Names that can only mean a sequence come first: a file may hold names or ids as well,
            # and "target" is often the number to be predicted.
            aliases=(
                "protein_sequence",
                "target_sequence",
                "aa_sequence",
                "aa_seq",
                "amino_acid_sequence",
                "amino_acids",
                "seq",
                "primary",
                "protein",
                "target",
            ),
            description="Proteins written in one-letter residue codes.",
            encoder="taglm_protein.encoder:ProteinEncoder",
            corpus="protein/sequences",
            split="protein/cluster",
            features="taglm_protein.features:composition_and_kmers",
            descriptors="taglm_protein.descriptors:descriptors",
            fingerprint="taglm_protein.features:fingerprint",
            canonical="taglm_protein.residues:canonical",
            doubt="taglm_protein.doubt:doubt",
            recognize="taglm_protein.residues:recognize",
            fix="taglm_protein.residues:fix",
            draw="taglm_protein.picture:draw",
        )
    ]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return the tasks whose labels are computed from the sequence."""
    return [
        taglm.Task(
            name="Descriptor",
            function_tag="Descriptor",
            template=(
                "The protein sequence is <Protein>{sequence}. The descriptor value is <Descriptor>"
            ),
            target=taglm.Regression(
                names=("blosum1",), unit="1", compute="taglm_protein.labels:blosum1"
            ),
            metrics=("mse", "mae", "rmse", "r2", "pearson"),
            dataset="protein/descriptor",
            split="protein/cluster",
            description="Mean BLOSUM1 index over the residues (Georgiev 2009).",
        ),
        taglm.Task(
            name="ProtParam",
            function_tag="ProtParam",
            template=(
                "The protein sequence is <Protein>{sequence}. Its molecular weight, isoelectric "
                "point, hydropathy, aromaticity and instability are <ProtParam>"
            ),
            target=taglm.Regression(
                names=(
                    "molecular_weight",
                    "isoelectric_point",
                    "gravy",
                    "aromaticity",
                    "instability_index",
                ),
                unit="Da, pH, 1, 1, 1",
                compute="taglm_protein.labels:protparam",
            ),
            # of several units a mean error says nothing, so that a pure number decides
            metrics=("r2", "mae", "rmse", "pearson"),
            dataset="protein/protparam",
            split="protein/cluster",
            description="Five quantities that Biopython's ProtParam computes, at once.",
        ),
    ]


@taglm.hookimpl
def register_templates() -> list[taglm.Template]:
    """Return the prompt of Descriptor in the manner of the Tag-LLM paper."""
    return [
        taglm.Template(
            name="paper",
            task="protein/Descriptor",
            text=(
                "# # Input: The protein sequence is <Protein> {sequence}. \n"
                "# # Output: the descriptor value is <Descriptor>"
            ),
        )
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated sequences and the known proteins that some of them are made from."""
    generated = (
        "Sequences generated from residue frequencies of Swiss-Prot and from mutated pieces of 21 "
        "known proteins; no natural proteins, not measured."
    )
    return [
        taglm.Dataset(
            name="descriptor",
            load="taglm_protein.generated:task_sequences",
            columns=("sequence", "source"),
            description=f"{generated} BLOSUM1 is computed.",
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="protparam",
            load="taglm_protein.generated:task_sequences",
            columns=("sequence", "source"),
            description=f"{generated} The five quantities are computed by Biopython.",
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="sequences",
            load="taglm_protein.generated:corpus_sequences",
            columns=("sequence", "source"),
            description=f"{generated} The corpus of stage 1.",
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="known",
            load="taglm_protein.generated:known_proteins",
            columns=("name", "mass", "sequence"),
            description="21 known proteins with their average mass in Da, to try predictions on.",
            license="Apache-2.0",
        ),
    ]


@taglm.hookimpl
def register_readers() -> list[taglm.Reader]:
    """Return the reader of FASTA files."""
    return [
        taglm.Reader(
            name="fasta",
            extensions=("fa", "faa", "fas", "fna"),
            read_batches="taglm_protein.readers:fasta_batches",
            description="FASTA; columns id, description, sequence",
            example=">P1 first\nMKT\nAYI\n>P2\nMK\n",
        )
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the split by sequence clusters."""
    return [
        taglm.Splitter(
            name="cluster",
            field="sequence",
            groups="taglm_protein.splits:cluster_keys",
            fold_groups="taglm_protein.splits:cluster_groups",
            assign="taglm_protein.splits:cluster_splits",
            description=(
                "No protein of test or valid shares more than a tenth of its 5-mers with one of "
                "train."
            ),
        )
    ]
