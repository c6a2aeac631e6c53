"""Molecules for taglm: the SMILES domain, the tasks QED, LogP and DC, splits.

Importing this module only declares things; RDKit is imported when one of them is used.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


_SDF = """water
  example

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0
M  END
> <logS>
1.5

$$$$
methane
  example

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
M  END
$$$$
"""


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
            descriptors="taglm_chem.descriptors:descriptors",
            fingerprint="taglm_chem.features:fingerprint",
            canonical="taglm_chem.molecules:canonical",
            doubt="taglm_chem.doubt:doubt",
            recognize="taglm_chem.molecules:recognize",
            augment="taglm_chem.molecules:augment",
            draw="taglm_chem.picture:draw",
            sample_metrics={"moses": "taglm_chem.moses:metrics"},
        )
    ]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return the tasks whose labels RDKit computes, and drug combination."""
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
        taglm.Task(
            name="DC",
            function_tag="DC",
            # What two drugs share on all cell lines is kept once. The cell line comes last: what is
            # far from the function tag is hard to read off its states.
            template=(
                "<SMILES>{drug1} and <SMILES>{drug2}, {drug1_name} and {drug2_name}, on the cell "
                "line {cell}: <DC>"
            ),
            target=taglm.Regression(names=("synergy",)),
            metrics=("mae", "rmse", "r2", "pearson", "spearman"),
            dataset="chem/combinations",
            split="chem/pair",
            aliases=_COMBINATION_COLUMNS,
            symmetric=(("drug1", "drug2"), ("drug1_name", "drug2_name")),
            settings=_COMBINATION_SETTINGS,
            description="Score of two drugs together on a cell line, in the unit of the file.",
        ),
    ]


# Therapeutics Data Commons writes Drug1_ID, Drug1, Drug2_ID, Drug2, Cell_Line_ID, Y; where a file
# has both a name and measurements of the cell line, the name comes first.
_COMBINATION_COLUMNS = {
    "drug1": ("drug_1", "drug1_smiles", "smiles1", "smiles_1"),
    "drug2": ("drug_2", "drug2_smiles", "smiles2", "smiles_2"),
    "drug1_name": ("drug1_id", "drug_1_name", "drug_row", "name1"),
    "drug2_name": ("drug2_id", "drug_2_name", "drug_col", "name2"),
    "cell": ("cell_line_id", "cellline_id", "cell_line_name", "cell_line", "cellline", "cell line"),
    "synergy": ("y", "synergy_score", "css", "score"),
}


# Which drug meets which cell line decides, so the head has hidden layers; scores have far outliers.
_COMBINATION_SETTINGS = {
    "head": "mlp",
    "head_options": {"units": 128, "dropout": 0.3},
    "fit_epochs": 60,
    "fit_rows": 40_000,
    "huber": 0.3,
    "pooling": "all",
    "tag_length": 6,
    "tag_lr": 0.005,
    "max_steps": 10,
    "num_evaluations": 1,
}


@taglm.hookimpl
def register_baselines() -> list[taglm.Baseline]:
    """Return the network for molecules that people would use otherwise."""
    return [
        taglm.Baseline(
            name="chemprop",
            function="taglm_chem.chemprop:chemprop",
            needs_package="chemprop",
            install="taglm-plugin-chem[chemprop]",
            in_default=False,
            description="message-passing network on molecules, in a process of its own",
        )
    ]


@taglm.hookimpl
def register_templates() -> list[taglm.Template]:
    """Return prompts in the manner of the Tag-LLM paper, and DC without names."""
    return [
        taglm.Template(
            name="paper",
            task="chem/QED",
            text=(
                "# # Input: The SMILES of the molecule is <SMILES> {smiles}. \n"
                "# # Output: the quantitative estimate of druglikeness score is <QED>"
            ),
        ),
        taglm.Template(
            name="paper",
            task="chem/DC",
            text=(
                "# # Input: The first drug is {drug1_name} with the SMILES <SMILES> {drug1}. The "
                "second drug is {drug2_name} with the SMILES <SMILES> {drug2}. The cell line is "
                "{cell}. \n# # Output: the drug combination sensitivity score is <DC>"
            ),
        ),
        taglm.Template(
            name="structures",
            task="chem/DC",
            text="<SMILES>{drug1} and <SMILES>{drug2} on the cell line {cell}: <DC>",
        ),
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated molecules, the drugs that they are made from, and combinations."""
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
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="logp",
            load="taglm_chem.generated:task_molecules",
            columns=("smiles", "source"),
            description=f"{generated} logP is computed by RDKit.",
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="molecules",
            load="taglm_chem.generated:corpus_molecules",
            columns=("smiles", "source"),
            description=f"{generated} The corpus of stage 1.",
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="drugs",
            load="taglm_chem.generated:known_drugs",
            columns=("name", "formula", "smiles"),
            description="250 known drugs with name and molecular formula, to try predictions on.",
            license="Apache-2.0",
        ),
        taglm.Dataset(
            name="combinations",
            load="taglm_chem.combinations:made_up",
            columns=("drug1_name", "drug1", "drug2_name", "drug2", "cell", "synergy"),
            description=(
                "Pairs of known drugs on ten invented cell lines with an invented score, a formula "
                "of both structures and the line: it shows that the task works, nothing else."
            ),
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="drugcomb_css",
            load="taglm_chem.combinations:drugcomb_css",
            columns=("drug1_name", "drug1", "drug2_name", "drug2", "cell", "synergy"),
            description=(
                "Measured: combination sensitivity scores of DrugComb as Therapeutics Data Commons "
                "gives them; needs a local copy."
            ),
            license="CC BY-NC-SA 4.0 as stated by the source; check before use",
        ),
    ]


@taglm.hookimpl
def register_readers() -> list[taglm.Reader]:
    """Return the readers of SMI and SDF files."""
    return [
        taglm.Reader(
            name="smi",
            extensions="ism",
            read_batches="taglm_chem.readers:smi_batches",
            description="SMILES with an optional name after white space; columns smiles, name",
            example="CCO ethanol\nc1ccccc1\n",
        ),
        taglm.Reader(
            name="sdf",
            extensions="sd",
            read_batches="taglm_chem.readers:sdf_batches",
            description="MDL structure-data files; columns smiles, name and every data field",
            example=_SDF,
        ),
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the splits by Murcko scaffold and by pair of drugs."""
    return [
        taglm.Splitter(
            name="scaffold",
            field="smiles",
            groups="taglm_chem.splits:scaffold_groups",
            description="Molecules with the same Murcko scaffold stay in one split.",
        ),
        taglm.Splitter(
            name="pair",
            assign="taglm_chem.combinations:pair_splits",
            description="80/10/10 by seed; all rows of two drugs, in either order, stay together.",
        ),
    ]
