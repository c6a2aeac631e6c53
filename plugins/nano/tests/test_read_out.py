"""What the auxiliary read-out asks: levels of descriptors, numbers of proteins, and their loss."""

import numpy as np
import pytest


def test_levels_keep_the_order_and_share_ties(training_module):
    """Levels rise with the values, equal values share the middle one, NaN is marked."""
    levels = training_module("levels")
    values = np.array([[5.0, 0.0], [1.0, 0.0], [3.0, 0.0], [np.nan, 7.0]])
    found = levels.to_levels(values)
    assert found[1, 0] < found[2, 0] < found[0, 0]
    assert levels.MISSING == found[3, 0]
    assert found[0, 1] == found[1, 1] == found[2, 1] < found[3, 1]


def test_targets_are_standard_scores(training_module):
    """A long tail becomes a normal score; a missing value is the mean, a constant says nothing."""
    levels = training_module("levels")
    rng = np.random.default_rng(0)
    normal = rng.normal(size=5000)
    values = np.stack([np.exp(3 * normal), np.zeros(5000)], axis=1)
    values[0, 0] = np.nan
    targets = levels.to_targets(levels.to_levels(values)).astype(float)
    assert targets[0, 0] == 0
    assert np.corrcoef(targets[1:, 0], normal[1:])[0, 1] > 0.99
    assert targets[:, 0].std() == pytest.approx(1.0, abs=0.05)
    assert not targets[:, 1].any()


def test_numbers_of_a_protein(training_module):
    """Composition, length, pairs and ends are what one counts by hand."""
    proteins = training_module("proteins")
    sequence = "A" * 12 + "K" * 4
    found = proteins.describe(sequence)
    letters = proteins.RESIDUES
    assert found[letters.index("A")] == pytest.approx(12 / 16)
    assert found[letters.index("K")] == pytest.approx(4 / 16)
    windows = found[20:180].reshape(8, 20)
    assert windows[0, letters.index("A")] == windows[7, letters.index("K")] == 1.0
    assert found[180] == pytest.approx(np.log(16))
    pairs = found[181:581].reshape(20, 20)
    assert pairs[letters.index("A"), letters.index("K")] == pytest.approx((1 / 15) ** 0.5)
    charges = proteins.SCALES[:, -1]
    assert charges[[letters.index(r) for r in "KRDEA"]].tolist() == [1, 1, -1, -1, 0]


def test_the_labels_of_tasks_are_left_out(training_module):
    """Neither QED nor logP is asked; the other descriptors are."""
    pytest.importorskip("rdkit")
    names = set(training_module("molecules").descriptors())
    assert not names & {"qed", "MolLogP"}
    assert {"TPSA", "MolWt", "fr_ester"} <= names


def test_the_loss_is_a_weighted_squared_error(training_module):
    """Equal to the formula, and zero with the right map."""
    torch = pytest.importorskip("torch")
    readout = training_module("readout")
    rng = np.random.default_rng(1)
    states = torch.from_numpy(rng.normal(size=(50, 6))).float()
    truth = rng.normal(size=(3, 7))
    rows = torch.tensor([4, 0, 2])
    places = torch.tensor([7, 11, 30])
    told = states[places].double().numpy() @ truth[:, :-1].T + truth[:, -1]
    targets = np.zeros((5, 3), np.float32)
    targets[rows] = told
    read_out = readout.ReadOut({0: (targets, np.array([1.0, 2.0, 0.5]))}, 6, torch.device("cpu"))
    flat = torch.zeros(read_out.size)
    reads = {0: (places, rows)}
    loss = read_out.loss(read_out.views(flat), states, reads)[0]
    usual = readout.USUAL_READS[0] * 50
    assert float(loss) == pytest.approx((told**2 * [1.0, 2.0, 0.5]).sum() / usual, rel=1e-4)
    flat.copy_(torch.from_numpy(truth.ravel()))
    assert float(read_out.loss(read_out.views(flat), states, reads)[0]) < 1e-6
    assert {} == read_out.loss(read_out.views(flat), states, {0: (places[:0], rows[:0])})
