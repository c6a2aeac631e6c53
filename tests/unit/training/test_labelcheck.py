"""The targets are looked at before training: what cannot be learned or judged is said."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import taglm_core as taglm
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import DataError, RowError
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs.metrics import METRICS
from taglm_core.training.labelcheck import check_labels, small_splits

SPLITS = ["train"] * 4 + ["valid"] * 3 + ["test"] * 3


def check(registry, tmp_path, target, columns, metrics=()):
    """Look at the targets of ten rows."""
    rng = np.random.default_rng(0)
    strings = ["".join(rng.choice(list("abc"), size=9)) for _ in SPLITS]
    file = tmp_path / "rows.csv"
    cells = zip(strings, *columns.values(), SPLITS, strict=True)
    lines = [",".join(map(str, row)) for row in cells]
    file.write_text(",".join(["letters", *columns, "split"]) + "\n" + "\n".join(lines) + "\n")
    spec = taglm.Task(
        name="T",
        function_tag="T",
        template="<Letters>{letters}<T>",
        target=target,
        metrics=metrics,
    )
    task = resolve_task(spec, "toy", registry)
    data = DataConfig(file=str(file), split=SplitConfig(column="split"))
    return check_labels(task, load_task_rows(task, registry, data, 0))


CLASSES = taglm.Classification(names=("Y",))
NUMBER = taglm.Regression(names=("Y",))
LABELS = taglm.Classification(names=("t1", "t2"), multi_label=True)


def test_good_labels_are_passed_over(toy_registry, tmp_path):
    """Nothing is said where nothing is odd."""
    found = check(toy_registry, tmp_path, CLASSES, {"Y": list("yynnynnyny")})
    assert found.remarks == ()
    assert not found.selects_by_loss


@pytest.mark.parametrize("target", [CLASSES, NUMBER], ids=["classes", "numbers"])
def test_good_labels_import_no_library_of_metrics(target, toy_registry, tmp_path, monkeypatch):
    """A dry run does not wait for scikit-learn, which takes a second."""
    for library in ("sklearn", "sklearn.metrics", "scipy.stats"):
        monkeypatch.setitem(sys.modules, library, None)  # an import fails
    kind = "classification" if target is CLASSES else "regression"
    names = tuple(spec.name for spec in METRICS if spec.kind == kind)
    found = check(toy_registry, tmp_path, target, {"Y": list("1100101101")}, names)
    assert found.remarks == ()
    with pytest.raises(ImportError):  # what cannot be judged is asked
        check(toy_registry, tmp_path, NUMBER, {"Y": list("1100111101")}, ("r2", "mae"))


def test_one_class_in_the_valid_split_is_an_error(toy_registry, tmp_path):
    """AUROC of one class is undefined, and its log loss selects what always says this class."""
    cells = {"Y": list("yynnnnnyny")}
    with pytest.raises(
        DataError,
        match=r"auroc selects the best step and the head, but is undefined on the valid split, "
        r"which holds one class only \(Y: 'n' in 3 rows\)",
    ):
        check(toy_registry, tmp_path, CLASSES, cells, ("auroc", "accuracy"))
    found = check(toy_registry, tmp_path, CLASSES, cells, ("accuracy", "auroc"))
    assert found.remarks == ("auroc of target 'Y' is undefined on the valid split",)


def test_labels_that_vary_in_the_valid_split_select(toy_registry, tmp_path):
    """One label of one class there is said; the mean over the others selects."""
    columns = {"t1": [0, 1] * 5, "t2": [0, 1, 0, 1, 0, 0, 0, 1, 0, 1]}
    found = check(toy_registry, tmp_path, LABELS, columns, ("auroc",))
    assert found.remarks == ("auroc of target 't2' is undefined on the valid split",)
    with pytest.raises(DataError, match="t1: '0' in 3 rows; t2: '0' in 3 rows"):
        check(toy_registry, tmp_path, LABELS, {**columns, "t1": columns["t2"]}, ("auroc",))


def test_one_class_in_the_test_split_is_said(toy_registry, tmp_path):
    """The test split will have no value, which is better known before training."""
    found = check(toy_registry, tmp_path, CLASSES, {"Y": list("yynnynynnn")}, ("auroc",))
    assert found.remarks == ("auroc of target 'Y' is undefined on the test split",)
    assert not found.selects_by_loss


def test_one_class_in_the_train_split_is_an_error(toy_registry, tmp_path):
    """There is nothing to learn; the message shows where the other class stands."""
    target = taglm.Classification(names=("Y",), classes=("n", "y"))
    with pytest.raises(
        DataError,
        match=r"one class in the train split, 'n' in all 4 rows \(valid: 'n' in 1 row, "
        r"'y' in 2 rows; test: 'y' in 3 rows\)\. Check the column 'Y', or choose another split",
    ):
        check(toy_registry, tmp_path, target, {"Y": list("nnnnyynyyy")})


def test_a_class_without_training_rows_is_said(toy_registry, tmp_path):
    """Where the classes are declared, one may stand in the test split alone."""
    target = taglm.Classification(names=("Y",), classes=("n", "y", "rare"))
    cells = [*"ynynyny", "rare", "y", "n"]
    found = check(toy_registry, tmp_path, target, {"Y": cells}, ("accuracy",))
    assert found.remarks == ("class 'rare' of target 'Y' has no row in the train split",)


def test_a_class_that_only_the_valid_split_has_is_an_error(toy_registry, tmp_path):
    """No class is made up silently, and the advice names the split, not the classes."""
    with pytest.raises(RowError, match=r"unknown class 'rare'; known: n, y") as caught:
        check(toy_registry, tmp_path, CLASSES, {"Y": [*"ynynyn", "rare", *"yny"]})
    said = "The train split has no row of it (4 rows of 'n' and 'y'; split: column split)"
    assert said in str(caught.value)
    with pytest.raises(RowError, match=r"\(4 rows of 'n'; split: column split\)"):
        check(toy_registry, tmp_path, CLASSES, {"Y": list("nnnnyynyyy")})


def test_a_constant_number_in_the_train_split_is_an_error(toy_registry, tmp_path):
    """The predictor would be that number."""
    with pytest.raises(DataError, match=r"one value in the train split, 1\.5 in all 4 rows"):
        check(toy_registry, tmp_path, NUMBER, {"Y": [1.5] * 4 + [1, 2, 3, 4, 5, 6]})


def test_a_constant_number_in_the_valid_split_selects_by_the_loss(toy_registry, tmp_path):
    """Pearson's correlation with a constant is undefined, the squared error is not."""
    cells = {"Y": [1, 2, 3, 4, 7, 7, 7, 5, 6, 8]}
    found = check(toy_registry, tmp_path, NUMBER, cells, ("pearson", "rmse"))
    assert found.selects_by_loss
    assert "the squared error in standardized units selects instead" in found.remarks[-1]
    assert not check(toy_registry, tmp_path, NUMBER, cells, ("rmse", "pearson")).selects_by_loss


def test_a_label_that_never_varies_in_training_is_said(toy_registry, tmp_path):
    """The others are learned all the same; when none varies there is nothing to learn."""
    columns = {"t1": [0, 1] * 5, "t2": [0] * 4 + [0, 1, 0, 1, 0, 1]}
    found = check(toy_registry, tmp_path, LABELS, columns, ("accuracy",))
    assert len(found.remarks) == 1
    assert "target 't2' has one class in the train split, '0' in all 4 rows" in found.remarks[0]
    with pytest.raises(DataError, match="nothing to learn"):
        check(toy_registry, tmp_path, LABELS, {**columns, "t1": [1] * 4 + [0, 1] * 3})


def test_a_target_without_training_rows_is_an_error(toy_registry, tmp_path):
    """A column that is empty there, or everywhere, cannot be learned."""
    target = taglm.Regression(names=("p", "q"))
    cells = {"p": range(10), "q": [""] * 7 + [1, 2, 3]}
    with pytest.raises(
        DataError,
        match=r"target 'q' has no value in the train split \(rows with a value: train 0, valid 0, "
        r"test 3\)\. Leave it out",
    ):
        check(toy_registry, tmp_path, target, cells)


def test_gaps_are_counted(toy_registry, tmp_path):
    """Rows that lack a target are used for the others."""
    target = taglm.Regression(names=("p", "q"))
    cells = {"p": range(10), "q": ["", 1, 2, 3, "", "", "", 1, 2, 3]}
    found = check(toy_registry, tmp_path, target, cells, ("rmse",))
    assert "(rows with a value: p 10, q 6)" in found.remarks[0]
    assert found.remarks[1] == "target 'q' has no value in the valid split"
    assert not found.selects_by_loss


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([0, 1, 2, 1, 0, 1, -1, 1, 0, 1], r"column 't1': '2' is not a label"),
        ([0, 1, 0.5, 1, 0, 1, 0, 1, 0, 1], r"column 't1': '0.5' is not a label"),
        (["True", 1, 0, 1, 0, 1, 0, 1, 0, 1], r"column 't1': the labels mix 0/1 and false/true"),
        (list("ABABABABAB"), r"column 't1': which label means yes\?"),
    ],
)
def test_labels_that_are_not_yes_or_no(cells, words, toy_registry, tmp_path):
    """They are refused before training, with column, values and counts."""
    with pytest.raises(DataError, match=words):
        check(toy_registry, tmp_path, LABELS, {"t1": cells, "t2": [0, 1] * 5})


@pytest.mark.parametrize(
    ("no", "yes"), [("n", "Y"), ("inactive", "active"), ("-", "+"), ("0.0", "1.0")]
)
def test_each_label_has_its_own_pair_of_words(no, yes, toy_registry, tmp_path):
    """A second column may say true and false; both are read as 0 and 1."""
    columns = {"t1": [no, yes] * 5, "t2": ["TRUE", "false"] * 5}
    assert check(toy_registry, tmp_path, LABELS, columns, ("accuracy",)).remarks == ()


def test_small_splits_are_said():
    """Scores of a handful of rows are guesses; 20 rows are not called so."""
    few = ["train"] * 30 + ["valid"] * 20 + ["test"]
    found = small_splits(SimpleNamespace(splits=few, rule="core/random"))
    assert len(found) == 1
    assert "the test split has 1 row, fewer than 20: its metrics are rough estimates" in found[0]
    assert found[0].endswith("--folds 5 scores every row once")
    of_fold = SimpleNamespace(splits=few, rule="chem/scaffold, fold 1 of 5")
    assert small_splits(of_fold)[0].endswith("rough estimates")
    enough = SimpleNamespace(splits=["valid"] * 20 + ["test"] * 20, rule="core/random")
    assert small_splits(enough) == ()
