"""What every benchmark runs on: the embedded backbone, the tasks, real or generated rows.

With TAGLM_DATA the Davis and KIBA pairs are the real ones (files `dta/*`); without, rows are
generated whose numbers and lengths are those of the real sets. Residues are encoded by a plain
alphabet here, so that no plugin but chem is needed.
"""

import csv
import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

import taglm_core as taglm
from taglm_chem.encoder import SmilesEncoder
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.heads import LinearHead
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.model.targets import Scaling
from taglm_core.model.taskmodel import TaskModel, build_assembler
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Encoded

AFFINITY = "The SMILES of the drug is <SMILES>{smiles}. The target is <Residues>{target}. pKd <BA>"
QED = "The SMILES of the molecule is <SMILES>{smiles}. The estimate of druglikeness is <Drug>"
RESIDUES = "ACDEFGHIKLMNPQRSTVWYXUBZOJ"
TAG_LENGTH = 10


class ResidueEncoder:
    """One symbol for each residue letter."""

    symbols = tuple(RESIDUES)
    spellings = tuple(RESIDUES)
    version = "1"

    def encode_batch(self, rows: Sequence[str]) -> Encoded:
        """Encode rows; a letter that is none is read as X."""
        table = np.full(256, RESIDUES.index("X"), dtype=np.int32)
        table[np.frombuffer(RESIDUES.encode(), dtype=np.uint8)] = np.arange(len(RESIDUES))
        ids = table[np.frombuffer("".join(rows).encode(), dtype=np.uint8)]
        offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
        return Encoded(ids, offsets, [None] * len(rows))

    def decode(self, ids: Sequence[int]) -> str:
        """Join the letters."""
        return "".join(RESIDUES[int(i)] for i in ids)


class Plugin:
    """Registers what the benchmarks need beside the plugin chem."""

    @staticmethod
    @taglm.hookimpl
    def register_domains() -> list[taglm.Domain]:
        """Register residues."""
        return [taglm.Domain(tag="Residues", field="target", encoder=f"{__name__}:ResidueEncoder")]


@attrs.frozen
class Pairs:
    """Pairs of a drug and a target with a measured value."""

    source: str
    drugs: list[str]
    targets: list[str]
    values: np.ndarray
    """float64 `(pairs,)`."""

    def take(self, chosen: np.ndarray) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(
            self.source,
            [self.drugs[i] for i in chosen],
            [self.targets[i] for i in chosen],
            self.values[chosen],
        )

    @property
    def fields(self) -> dict[str, list[str]]:
        """The columns of the template."""
        return {"smiles": self.drugs, "target": self.targets}


# set -> (drugs, targets, pairs, mean and spread of the logarithm of their lengths)
_SHAPES: dict[str, tuple[int, int, int, tuple[float, float], tuple[float, float]]] = {
    "davis": (68, 442, 25_046, (4.1, 0.2), (6.5, 0.5)),
    "kiba": (2111, 229, 98_545, (3.95, 0.3), (6.4, 0.5)),
}


def load_pairs(name: str) -> Pairs:
    """Return the training pairs of `davis` or `kiba`, generated ones without TAGLM_DATA."""
    folder = Path(os.environ.get("TAGLM_DATA", "")) / "dta"
    if os.environ.get("TAGLM_DATA") and (folder / f"{name}_train.parquet").is_file():
        import pyarrow.parquet as pq

        table = pq.read_table(folder / f"{name}_train.parquet").to_pydict()
        values = np.array(table["Y"], dtype=np.float64)
        return Pairs(f"{name}, real", table["Drug"], table["Target"], values)
    num_drugs, num_targets, pairs, of_drug, of_target = _SHAPES[name]
    rng = np.random.default_rng(0)
    drugs = make_molecules(num_drugs, rng, *of_drug)
    targets = [
        "".join(rng.choice(list(RESIDUES[:20]), size=n))
        for n in _lengths(num_targets, rng, *of_target, 2500)
    ]
    cells = rng.permutation(num_drugs * num_targets)[:pairs]
    return Pairs(
        f"{name}, generated rows of like lengths",
        [drugs[c // num_targets] for c in cells],
        [targets[c % num_targets] for c in cells],
        rng.normal(6.0, 1.0, size=pairs),
    )


def load_targets(name: str) -> list[str]:
    """Return the distinct targets of a set."""
    folder = Path(os.environ.get("TAGLM_DATA", "")) / "dta"
    if os.environ.get("TAGLM_DATA") and (folder / f"{name}_targets.csv.gz").is_file():
        with gzip.open(folder / f"{name}_targets.csv.gz", "rt") as lines:
            return [row["Target"] for row in csv.DictReader(lines)]
    return sorted(set(load_pairs(name).targets))


def make_molecules(count: int, rng: np.random.Generator, mean: float, spread: float) -> list[str]:
    """Make strings that the SMILES encoder takes, of about the given lengths, all different."""
    made: dict[str, None] = {}
    while len(made) < count:
        for length in _lengths(count, rng, mean, spread, 200):
            made["".join(rng.choice(list("CCCCNO"), size=length))] = None
    return list(made)[:count]


def _lengths(
    count: int, rng: np.random.Generator, mean: float, spread: float, most: int
) -> np.ndarray:
    return np.clip(np.exp(rng.normal(mean, spread, size=count)), 8, most).astype(int)


def backbone(name: str = "nano", precision: str = "fp32") -> Backbone:
    """Load the backbone."""
    return load_backbone(name, load_registry(), "cpu", precision)


def backbone_of(scale: Any) -> Backbone:
    """Load the backbone that a scale names, in its precision."""
    return backbone(scale.backbone, scale.precision)


def task_model(held: Backbone, template: str, tag_length: int = TAG_LENGTH) -> TaskModel:
    """Return a regression task with untrained tags and head on a backbone."""
    registry = load_registry(only=["chem"], extra=[("bench", Plugin)])
    function = template[template.rindex("<") + 1 : -1]
    spec = taglm.Task(
        name=function,
        function_tag=function,
        template=template,
        target=taglm.Regression(names=(function,)),
        metrics=("rmse", "pearson"),
    )
    task = resolve_task(spec, "bench", registry)
    model = TaggedModel(held)
    encoders: dict[str, Any] = {"chem/SMILES": SmilesEncoder(), "bench/Residues": ResidueEncoder()}
    domain_of = {tag.name: task.domains[tag.name].name for tag in task.prompt.domain_tags}
    for domain in domain_of.values():
        model.add_table(domain, symbol_rows(held, tuple(encoders[domain].spellings)))
        model.add_tag(domain, initial_tag(held, domain, tag_length, "vocabulary", 0))
    tag = task.function_tag
    model.add_tag(tag, initial_tag(held, tag, tag_length, "vocabulary", 0))
    head = LinearHead(held.hidden_size, 1)
    head.start_from_mean_embedding(held.embedding_rows().mean(dim=0))
    model.heads[function] = head
    model.train_only([model.tags[tag], *head.parameters()])
    return TaskModel(
        task=task,
        model=model,
        assembler=build_assembler(task, model, encoders, True, domain_of, domain_of),
        is_isolated=True,
        head=head,
        scaling=Scaling.plain(1),
    )


def load_molecules(count: int, rng: np.random.Generator) -> tuple[list[str], str]:
    """Return distinct molecules and where they are from."""
    path = Path(os.environ.get("TAGLM_DATA", "")) / "chem" / "smiles_train.csv.gz"
    if os.environ.get("TAGLM_DATA") and path.is_file():
        with gzip.open(path, "rt") as lines:
            rows = [row["smiles"] for row in csv.DictReader(lines)]
        return [rows[i] for i in rng.permutation(len(rows))[:count]], "molecules, real"
    return make_molecules(count, rng, 3.75, 0.35), "generated rows of like lengths"
