"""Drug combination: columns of public files, both orders, the split by pair, the local copy."""

import csv

import numpy as np
import pytest

import taglm_chem
from taglm_chem import combinations
from taglm_core.data import public
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.datasets import load_dataset
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import DataError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task


@pytest.fixture
def registry():
    """Return a registry with this plugin alone."""
    return load_registry(only=[], extra=[("chem", taglm_chem)])


def task_of(registry, prompt=None):
    """Resolve DC."""
    return resolve_task(registry.tasks.get("DC").spec, "chem", registry, prompt)


def test_one_domain_serves_both_fields(registry):
    """Two molecules of one tag are one domain: stage 2, not 3."""
    task = task_of(registry)
    assert task.span_fields == ("drug1", "drug2")
    assert not task.is_cross_domain
    assert task.split.name == "chem/pair"
    assert task_of(registry, "structures").symmetric == (("drug1", "drug2"),)
    assert len(task_of(registry, "paper").symmetric) == 2


@pytest.mark.parametrize(
    "header",
    [
        ("Drug1_ID", "Drug1", "Drug2_ID", "Drug2", "Cell_Line", "Y"),
        ("Drug1_ID", "Drug1", "Drug2_ID", "Drug2", "CellLine", "Y"),
        ("drug1_name", "drug1", "drug2_name", "drug2", "cell", "synergy"),
    ],
)
def test_columns_of_public_files_need_no_mapping(header, registry, tmp_path):
    """The names of Therapeutics Data Commons and taglm's own; rows of a pair stay together."""
    drugs = combinations.read_drugs()[:12]
    rows = [
        (a.name, a.smiles, b.name, b.smiles, line, 1.5)
        for a in drugs
        for b in drugs
        if a != b
        for line in ("X", "Y")
    ]
    file = tmp_path / "dc.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    loaded = load_task_rows(task_of(registry), registry, DataConfig(file=str(file)), 0)
    assert len(loaded) == 264
    split_of = {}
    for one, two, split in zip(
        loaded.fields["drug1"], loaded.fields["drug2"], loaded.splits, strict=True
    ):
        assert split_of.setdefault(frozenset((one, two)), split) == split
    by_row = DataConfig(file=str(file), split=SplitConfig(method="row"))
    assert load_task_rows(task_of(registry), registry, by_row, 0).splits != loaded.splits


def test_the_invented_rows_are_what_they_say():
    """Same seed, same rows; the score is symmetric; two drugs are never one."""
    made = combinations.made_up(seed=1, size=200)
    again = combinations.made_up(seed=1, size=300)
    assert all(again[name][:200] == values for name, values in made.items())
    assert combinations.made_up(seed=2, size=200) != made
    assert all(a != b for a, b in zip(made["drug1"], made["drug2"], strict=True))
    one, two = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    assert combinations.invented_score(one, two, 4) == combinations.invented_score(two, one, 4)
    assert combinations.invented_score(one, two, 0) == pytest.approx(3 * 0.5 * 4 - 6 * 1.5)
    assert np.std(made["synergy"]) > 3


def test_a_pair_split_of_one_molecule_is_refused():
    """The message offers the scaffold split."""
    with pytest.raises(DataError, match="two molecules.*scaffold"):
        combinations.pair_splits({"smiles": ["C"]}, 0)


def test_a_local_copy_is_read_and_its_absence_explained(registry, tmp_path, monkeypatch):
    """The name of the cell line wins over its measurements; without a copy the folder is named."""
    monkeypatch.setenv("TAGLM_DATASETS", str(tmp_path))
    dataset = registry.datasets.get("drugcomb_css")
    with pytest.raises(DataError, match="no local copy.*drugcomb_css.csv.*TAGLM_DATASETS"):
        load_dataset(dataset, 0, None)
    text = (
        "Drug1_ID\tDrug1\tDrug2_ID\tDrug2\tCell_Line_ID\tCell_Line\tY\na\tCC\tb\tCO\tT98G\t0.1\t3"
    )
    (tmp_path / "drugcomb_css.tab").write_text(text + "\n")
    table = load_dataset(dataset, 0, None)
    assert table.columns["cell"] == ["T98G"]
    assert table.columns["synergy"] == ["3"]


def test_another_checksum_is_an_error(tmp_path, monkeypatch):
    """A damaged copy must not become a result."""
    monkeypatch.setenv("TAGLM_DATASETS", str(tmp_path))
    (tmp_path / "x.csv").write_text("A\n1\n")
    described = {"name": "p/x", "files": ("x.csv",), "columns": {"a": ("A",)}, "source": "there"}
    wrong = public.PublicSet(**described, sha256={"x.csv": "0" * 64})
    with pytest.raises(DataError, match="checksum.*Fetch it again from there"):
        public.load_public(wrong)
    import hashlib

    digest = hashlib.sha256(b"A\n1\n").hexdigest()
    right = public.PublicSet(**described, sha256={"x.csv": digest})
    assert public.load_public(right) == {"a": ["1"]}


def test_the_hub_is_used_without_a_copy_and_its_failure_explained(tmp_path, monkeypatch):
    """Offline, the message says where to put a copy."""
    import datasets

    monkeypatch.setenv("TAGLM_DATASETS", str(tmp_path))
    held = public.PublicSet(
        name="p/x", files=("x.csv",), columns={"a": ("A",)}, source="there", hub="some/where"
    )
    made = datasets.Dataset.from_dict({"A": [1, 2, 3]})
    monkeypatch.setattr(datasets, "load_dataset", lambda hub, split: made)
    assert public.load_public(held, 2) == {"a": [1, 2]}

    def offline(hub, split):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match="some/where.*no network.*x.csv"):
        public.load_public(held)
