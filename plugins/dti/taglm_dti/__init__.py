"""Drug-target binding affinity for taglm: the task BA, cold and time splits, public sets.

The task knows `<SMILES>` and `<Protein>` by name only; the plugins that provide them are found when
it is run.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []

_INVENTED = (
    "Invented pairs of assembled molecules and random sequences with an invented score, a formula "
    "of both: it shows that the task works, nothing else."
)


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return binding affinity."""
    return [
        taglm.Task(
            name="BA",
            function_tag="BA",
            # What follows the last span is paid for every pair, so it is a colon.
            template="The protein <Protein>{sequence} binds the molecule <SMILES>{smiles}: <BA>",
            target=taglm.Regression(names=("affinity",), unit="-log10 mol/L"),
            metrics=("pearson", "concordance", "mse", "spearman"),
            dataset="dti/pairs",
            split="scaffold",
            # Names that say the unit come before the plain ones.
            aliases={"affinity": ("neg_log10_affinity_m", "pkd", "pki", "pic50", "y", "label")},
            # Who binds whom is no sum of what either is, so the head has hidden layers. It is
            # fitted to states; training the tag longer gained nothing on measured pairs.
            settings={
                "head": "mlp",
                "pooling": "all",
                "tag_length": 6,
                "fit_rows": 25_000,
                "tag_lr": 0.005,
                "max_steps": 10,
                "num_evaluations": 1,
            },
            description="How strongly a molecule binds a protein, as -log10 of Kd in mol/L.",
        )
    ]


@taglm.hookimpl
def register_templates() -> list[taglm.Template]:
    """Return a prompt in the manner of the Tag-LLM paper."""
    return [
        taglm.Template(
            name="paper",
            task="dti/BA",
            text=(
                "# # Input: The protein sequence is <Protein> {sequence}. The SMILES of the drug "
                "is <SMILES> {smiles}. \n# # Output: the binding affinity is <BA>"
            ),
        )
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the invented pairs and the public sets."""
    return [
        taglm.Dataset(
            name="pairs",
            load="taglm_dti.generated:pairs",
            columns=("smiles", "sequence", "affinity"),
            description=_INVENTED,
            license="Apache-2.0",
            generated=True,
        ),
        taglm.Dataset(
            name="binding_affinity",
            load="taglm_dti.public:binding_affinity",
            columns=("smiles", "sequence", "affinity"),
            description=(
                "Measured: pairs collected by J. Glaser, by Hub id jglaser/binding_affinity or "
                "from a local copy."
            ),
            license="as stated on its page; check before use",
        ),
        taglm.Dataset(
            name="bindingdb_patent",
            load="taglm_dti.public:bindingdb_patent",
            columns=("smiles", "sequence", "affinity", "year"),
            description=(
                "Measured: patents in BindingDB as Therapeutics Data Commons gives them, with "
                "years; needs a local copy."
            ),
            license="as stated by the source; check before use",
        ),
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the splits that keep drugs, targets, both, or the future apart."""
    return [
        taglm.Splitter(
            name="cold-drug",
            tags=("SMILES",),
            assign="taglm_dti.splits:cold",
            description="80/10/10 of the distinct molecules by seed; none is in two splits.",
        ),
        taglm.Splitter(
            name="cold-target",
            tags=("Protein",),
            assign="taglm_dti.splits:cold",
            description="80/10/10 of the distinct sequences by seed; none is in two splits.",
        ),
        taglm.Splitter(
            name="cold-both",
            tags=("SMILES", "Protein"),
            assign="taglm_dti.splits:cold_both",
            description=(
                "60/20/20 of the molecules and of the sequences by seed; pairs of different splits "
                "are skipped."
            ),
        ),
        taglm.Splitter(
            name="time",
            columns=("year",),
            assign="taglm_dti.splits:by_time",
            description="The newest years, about a tenth of the rows, are test; before them valid.",
        ),
    ]
