"""`TagRegressor` and `TagClassifier` as scikit-learn estimators, on a tiny backbone."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import taglm

SMILES = ["C" * length + end for length in range(1, 9) for end in ("O", "N", "S", "Cl", "Br")]
LENGTHS = np.array([len(smiles) / 10 for smiles in SMILES])
KINDS = np.array(["polar" if s[-1] in "ONS" else "halogen" for s in SMILES])
SETTINGS = {
    "stages.domain": {"size": 60, "max_steps": 3, "tag_length": 3, "num_evaluations": 1},
    "stages.task": {"max_steps": 4, "num_evaluations": 1},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a folder that holds a tiny backbone and a tag store for all tests here."""
    from taglm_core.testing import tiny_backbone

    folder = tmp_path_factory.mktemp("sklearn")
    backbone = tiny_backbone("llama")
    backbone.model.save_pretrained(folder / "tiny")
    backbone.tokenizer.save_pretrained(folder / "tiny")
    return folder


@pytest.fixture(autouse=True)
def _shared_store(home, monkeypatch):
    monkeypatch.setenv("TAGLM_HOME", str(home / "store"))


@pytest.fixture
def regressor(home):
    """Return an estimator that is not fitted."""
    return taglm.TagRegressor(
        "SMILES", backbone=str(home / "tiny"), tag_length=3, settings=SETTINGS
    )


@pytest.fixture
def classifier(home):
    """Return an estimator that is not fitted."""
    return taglm.TagClassifier(
        "SMILES", backbone=str(home / "tiny"), tag_length=3, settings=SETTINGS
    )


def test_every_form_of_text_gives_the_same_predictions(regressor):
    """A list, a column, a 2-D array, a Series and a frame."""
    wanted = regressor.fit(SMILES, LENGTHS).predict(SMILES)
    assert wanted.shape == (40,)
    assert np.corrcoef(wanted, LENGTHS)[0, 1] > 0.5
    array = np.array(SMILES, dtype=object)
    forms = [tuple(SMILES), array, np.array(SMILES), array[:, None]]
    for data in (*forms, pd.Series(SMILES), pd.DataFrame(array[:, None])):
        np.testing.assert_allclose(regressor.predict(data), wanted, atol=1e-6)
        again = clone(regressor).fit(data, list(LENGTHS)).predict(data)
        np.testing.assert_allclose(again, wanted, atol=1e-6)


def test_a_frame_of_fields(home):
    """One column a field, each with its own domain or in plain words; names are checked."""
    frame = pd.DataFrame({"drug": SMILES, "solvent": ["water", "oil"] * 20})
    model = taglm.TagRegressor(
        ["SMILES", None], backbone=str(home / "tiny"), tag_length=3, settings=SETTINGS
    )
    model.fit(frame, LENGTHS)
    assert "The drug is <SMILES>{x0}. The solvent is {x1}." in model.template_
    assert list(model.feature_names_in_) == ["drug", "solvent"]
    assert model.n_features_in_ == 2
    found = model.predict(frame)
    assert not np.allclose(found, model.predict(frame.assign(solvent="salt")))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["solvent", "drug"]])


def test_a_template_of_ones_own(home):
    """Columns fill its fields by name, else in order."""
    template = "In {solvent}, <SMILES>{drug} has <Target>"
    model = taglm.TagRegressor(
        template=template, backbone=str(home / "tiny"), tag_length=3, settings=SETTINGS
    )
    frame = pd.DataFrame({"drug": SMILES, "solvent": ["water", "oil"] * 20})
    found = model.fit(frame, LENGTHS).predict(frame)
    arrays = frame[["solvent", "drug"]].to_numpy()
    np.testing.assert_allclose(clone(model).fit(arrays, LENGTHS).predict(arrays), found, atol=1e-6)
    with pytest.raises(ValueError, match="solvent, drug, but X has 1 columns"):
        clone(model).fit(SMILES, LENGTHS)


def test_several_targets(regressor):
    """A 2-D y gives a 2-D prediction."""
    both = np.stack([LENGTHS, -LENGTHS], axis=1)
    found = regressor.fit(SMILES, both).predict(SMILES[:5])
    assert found.shape == (5, 2)
    assert np.corrcoef(regressor.predict(SMILES).T)[0, 1] < -0.5


@pytest.mark.parametrize("labels", [KINDS, KINDS == "polar", (KINDS == "polar") * 7])
def test_classes_of_any_kind(classifier, labels):
    """Labels come back as they were given; probabilities follow `classes_`."""
    classifier.fit(SMILES, labels)
    assert list(classifier.classes_) == sorted(set(labels.tolist()))
    probabilities = classifier.predict_proba(SMILES)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    found = classifier.predict(SMILES)
    assert found.dtype == labels.dtype
    assert (found == classifier.classes_[probabilities.argmax(axis=1)]).all()
    assert classifier.score(SMILES, labels) > 0.6


def test_cross_validation_shares_the_domain_tag(regressor, home):
    """Folds train function tags; the store holds one domain tag."""
    scores = cross_val_score(regressor, SMILES, LENGTHS, cv=3)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    own = [tag["tag"] for tag in taglm.tags.list() if tag["from"] == "store"]
    assert own.count("chem/SMILES") == 1


def test_a_pipeline_and_a_grid_over_tag_settings(regressor):
    """Steps before the estimator, and parameters of tag and run."""
    strip = FunctionTransformer(lambda rows: [row.strip() for row in rows])
    pipeline = make_pipeline(strip, regressor)
    grid = GridSearchCV(
        pipeline,
        {
            "tagregressor__tag_length": [1, 3],
            "tagregressor__settings": [SETTINGS, {**SETTINGS, "stages.task.pooling": "all"}],
        },
        cv=2,
    )
    grid.fit([f" {smiles} " for smiles in SMILES], LENGTHS)
    assert len(grid.cv_results_["mean_test_score"]) == 4
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.predict(SMILES[:2]).shape == (2,)


def test_pickling_keeps_the_predictions(regressor):
    """The artifact travels, the backbone does not."""
    regressor.fit(SMILES, LENGTHS)
    content = pickle.dumps(regressor)
    assert len(content) < 200_000
    np.testing.assert_allclose(
        pickle.loads(content).predict(SMILES), regressor.predict(SMILES), atol=1e-6
    )


def test_nothing_is_left_behind(regressor, tmp_path, monkeypatch):
    """No temporary folder, and no run folder."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    regressor.fit(SMILES, LENGTHS).predict(SMILES[:2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "targets", "message"),
    [
        (["CCO", "bad_one", "CN"], [1, 2, 3], "row 2: x0"),
        (["CCO", None, "CN"], [1, 2, 3], "row 2: x0: empty"),
        (["CCO", "CN"], [1, np.nan], "NaN"),
        (["CCO", "CN"], [1], "inconsistent numbers of samples"),
        (["CCO"], [1], "n_samples=1"),
        ([], [], "0 sample"),
        (np.zeros((2, 2, 2)), [1, 2], "3 dimensions"),
    ],
)
def test_bad_rows_are_value_errors(regressor, rows, targets, message):
    """scikit-learn's callers catch ValueError; no advice is of what an estimator has not."""
    with pytest.raises(ValueError, match=message) as caught:
        regressor.fit(rows, targets)
    assert "on_error" not in str(caught.value)


def test_one_class_is_refused(classifier):
    """Nothing could be told apart."""
    with pytest.raises(ValueError, match="1 class"):
        classifier.fit(SMILES, ["same"] * 40)


def test_unknown_settings_are_named(regressor):
    """The key and the nearest known one."""
    regressor.set_params(settings={"stages.task.epoch": 3})
    with pytest.raises(ValueError, match=r"stages\.task\.epoch'.*'epochs'"):
        regressor.fit(SMILES, LENGTHS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TagRegressor", "TagClassifier"])
@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn_pass(name, home):
    """All but the few that are listed with their reason."""
    from sklearn.utils.estimator_checks import check_estimator

    from taglm_core.testing import tiny_backbone
    from taglm_studies.sklearn import EXPECTED_FAILED_CHECKS

    # rows of many numbers are long, and there are many fits
    backbone = tiny_backbone("llama", max_position_embeddings=1024, num_hidden_layers=1)
    backbone.model.save_pretrained(home / "long")
    backbone.tokenizer.save_pretrained(home / "long")
    settings = {"stages.task": {"max_steps": 2, "num_evaluations": 1, "head": "linear"}}
    model = getattr(taglm, name)(backbone=str(home / "long"), tag_length=2, settings=settings)
    results = check_estimator(
        model, expected_failed_checks=EXPECTED_FAILED_CHECKS, on_skip=None, on_fail="raise"
    )
    assert sum(result["status"] == "passed" for result in results) > 40
