"""Molecules for taglm: the SMILES domain, the tasks QED and LogP, scaffold splits.

Importing this module only declares things; RDKit is imported when one of them is used.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_domains() -> list[taglm.Domain]:
    """Return the domain of molecules written as SMILES."""
    return [
        taglm.Domain(
            tag="SMILES",
            field="smiles",
            # Names that can only mean SMILES come first: a file may hold names or ids as well.
            aliases=(
                "canonical_smiles",
                "isomeric_smiles",
                "molecule_smiles",
                "compound_smiles",
                "drug_smiles",
                "structure",
                "mol",
                "molecule",
                "drug",
            ),
            description="Molecules written as SMILES, read by RDKit.",
            encoder="taglm_chem.encoder:SmilesEncoder",
            corpus="chem/molecules",
            split="chem/scaffold",
            features="taglm_chem.features:morgan",
            canonical="taglm_chem.molecules:canonical",
            augment="taglm_chem.molecules:augment",
            draw="taglm_chem.molecules:draw",
        )
    ]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return the tasks whose labels RDKit computes."""
    metrics = ("mae", "rmse", "r2", "pearson", "spearman")
    return [
        taglm.Task(
            name="QED",
            function_tag="QED",
            template=(
                "The SMILES of the molecule is <SMILES>{smiles}. "
                "The quantitative estimate of druglikeness is <QED>"
            ),
            target=taglm.Regression(names=("qed",), unit="1", compute="taglm_chem.labels:qed"),
            metrics=metrics,
            dataset="chem/qed",
            split="chem/scaffold",
            description="Quantitative estimate of druglikeness, 0 to 1 (Bickerton et al. 2012).",
        ),
        taglm.Task(
            name="LogP",
            function_tag="LogP",
            template=(
                "The SMILES of the molecule is <SMILES>{smiles}. "
                "The octanol-water partition coefficient is <LogP>"
            ),
            target=taglm.Regression(
                names=("logp",), unit="log10", compute="taglm_chem.labels:logp"
            ),
            metrics=metrics,
            dataset="chem/logp",
            split="chem/scaffold",
            description="Octanol-water partition coefficient by Crippen's atom contributions.",
        ),
    ]


@taglm.hookimpl
def register_templates() -> list[taglm.Template]:
    """Return the wording of QED in the Tag-LLM paper."""
    return [
        taglm.Template(
            name="paper",
            task="chem/QED",
            text=(
                "# # Input: The SMILES of the molecule is <SMILES> {smiles}. \n"
                "# # Output: the quantitative estimate of druglikeness score is <QED>"
            ),
        )
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated molecules and the drugs that they are made from."""
    generated = (
        "Molecules generated from fragments of 250 known drugs by the BRICS rules; not measured, "
        "not natural chemical space."
    )
    return [
        taglm.Dataset(
            name="qed",
            load="taglm_chem.generated:task_molecules",
            columns=("smiles", "source"),
            description=f"{generated} QED is computed by RDKit.",
            licence="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="logp",
            load="taglm_chem.generated:task_molecules",
            columns=("smiles", "source"),
            description=f"{generated} logP is computed by RDKit.",
            licence="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="molecules",
            load="taglm_chem.generated:corpus_molecules",
            columns=("smiles", "source"),
            description=f"{generated} The corpus of stage 1.",
            licence="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="drugs",
            load="taglm_chem.generated:known_drugs",
            columns=("name", "formula", "smiles"),
            description="250 known drugs with name and molecular formula, to try predictions on.",
            licence="Apache-2.0",
        ),
    ]


@taglm.hookimpl
def register_splits() -> list[taglm.Split]:
    """Return the split by Murcko scaffold."""
    return [
        taglm.Split(
            name="scaffold",
            field="smiles",
            groups="taglm_chem.splits:scaffold_groups",
            description="Molecules with the same Murcko scaffold stay on one side.",
        )
    ]
