"""What the distributions of this project provide, for the advice beside an unknown name.

The only place of the core that knows names of domains: it says what to install and nothing else.
"""

_PROVIDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "taglm-plugin-chem": {
        "domain": ("SMILES",),
        "task": ("QED", "LogP", "DC"),
        "splitter": ("scaffold",),
        "reader": ("smi", "ism", "sdf", "sd"),
    },
    "taglm-plugin-dti": {"task": ("BA",)},
    "taglm-plugin-protein": {
        "domain": ("Protein",),
        "task": ("Descriptor",),
        "reader": ("fasta", "fa", "faa", "fas", "fna"),
    },
    "taglm-plugin-ray": {"engine": ("ray",)},
    "taglm-plugin-serve": {"command": ("serve",)},
    "taglm-plugin-studies": {
        "baseline": (
            "mean",
            "one_hot_id",
            "one_hot_id_interactions",
            "nearest",
            "ridge",
            "boosting",
        ),
        "command": ("data",),
    },
    "taglm-plugin-translation": {"task": ("Translate",), "metric": ("chrf", "bleu", "spbleu")},
    "taglm-backbone-nano": {"backbone": ("nano",)},
}


def distribution_for(kind: str, name: str) -> str | None:
    """Return the distribution that provides an object of a kind, its name in any case."""
    for distribution, kinds in _PROVIDERS.items():
        if name.lower() in (known.lower() for known in kinds.get(kind, ())):
            return distribution
    return None
