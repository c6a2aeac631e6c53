"""The capacity table follows its formulas, and predicts small jobs."""

import json

import numpy as np
import pytest

SCRIPT = "capacity"

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}


@pytest.fixture(scope="module")
def capacity(script):
    """Return the script."""
    return script


@pytest.fixture(scope="module")
def costs(capacity, tmp_path_factory):
    """Return the costs of a backbone of which there is a configuration alone."""
    folder = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps(LLAMA))
    args = capacity.parsed(["--config", str(folder), "--pace", "1e9"])
    return capacity.Costs.of(capacity.backbone_of(args))


def test_costs_are_counted_from_a_configuration(costs):
    """Nobody must download a backbone to learn what it would cost."""
    layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128
    assert costs.forward.per_token == 2 * layer
    assert costs.forward.per_pair == 2 * 2 * 64
    assert costs.token_bytes == 2 * 2 * 2 * 16 * 4
    assert costs.output == 64 * 1000


def test_a_grid_is_its_spans_once_and_its_pairs(capacity, costs):
    """Work grows with the pairs; where the cache is small, molecules come once a block."""
    tokens = capacity.Tokens(molecule=20, protein=100, suffix=10)
    span, target = costs.forward.run(np.array([20, 100]))
    pair = costs.forward.run(np.array([10]), 120)[0]
    whole = capacity.screen(50, 8, tokens, costs, 1e12)
    assert whole.work == pytest.approx(50 * span + 8 * target + 400 * pair)
    halves = capacity.screen(50, 8, tokens, costs, 4 * 100 * costs.token_bytes)
    assert halves.work - whole.work == pytest.approx(50 * span)
    assert halves.cache < whole.cache
    assert halves.molecules == 100


def test_hours_and_dollars_follow_the_pace_and_the_rate(capacity, costs):
    """A reader puts in his own machine and price."""
    job = capacity.Job(name="some", work=3.6e12, trains=False)
    pace = capacity.Pace(forward=1e9, trained=2e8)
    (held,) = capacity.table([job], pace, costs, devices=2, rate=3.0)
    assert held["device_hours"] == pytest.approx(1.0)
    assert held["days"] == pytest.approx(1 / 48)
    assert held["dollars"] == pytest.approx(3.0)
    trained = capacity.Job(name="some", work=3.6e12, trains=True)
    assert trained.seconds(pace) == pytest.approx(18_000)


def test_a_machine_that_is_not_here_needs_its_pace(capacity, tmp_path, capsys):
    """Without weights nothing can be measured."""
    with pytest.raises(SystemExit):
        capacity.main(["--config", str(tmp_path)])
    assert "add --pace" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_prints_the_table_and_the_check(capacity, tmp_path, capsys):
    """It runs as the page says, and puts small jobs beside what the formulas say."""
    path = tmp_path / "capacity.json"
    small = ["--check", "--check-molecules", "16", "--seconds", "0.1", "--clock", "cpu"]
    capacity.main([*small, "--threads", "1", "--json", str(path)])
    printed = capsys.readouterr().out
    held = json.loads(path.read_text())
    assert len(held["jobs"]) == 4
    assert all(f"| {each['job']} |" in printed for each in [*held["jobs"], *held["check"]])
    assert len(held["check"]) == 4
    assert all(0.2 < each["ratio"] < 10 for each in held["check"])
