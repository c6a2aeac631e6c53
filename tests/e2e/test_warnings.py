"""A run whose predictor is worse than a constant ends with that."""

import json

import numpy as np


def test_a_run_warns_in_its_last_line_and_in_metrics(taglm, toy_backbone, tmp_path):
    """Validation and test rows that contradict the training rows."""
    rng = np.random.default_rng(0)
    lines = ["text,y,split"]
    for i in range(60):
        split = "train" if i < 40 else "valid" if i < 50 else "test"
        word = "".join(rng.choice(list("abc"), size=6))
        y = word.count("a") * (1 if split == "train" else -1) + rng.normal() * 0.01
        lines.append(f"{word},{y},{split}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "own.yaml").write_text(
        f"""
task:
  name: Own
  template: "{{text}} has the value <Own>"
  target: {{kind: regression, columns: [y]}}
data: {{file: rows.csv, split: {{column: split}}, check: false}}
backbone: {toy_backbone}
baselines: none
stages: {{task: {{max_steps: 2, tag_length: 3, num_evaluations: 1}}}}
"""
    )
    done = taglm("run", tmp_path / "own.yaml", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("warning: Own is worse than the mean of the training rows on the test")
    warnings = json.loads((tmp_path / "run" / "metrics.json").read_text())["warnings"]
    assert len(warnings) == 2
    assert f"warning: {warnings[-1]}" == last
    again = taglm("run", tmp_path / "own.yaml", "--out", tmp_path / "run", "--json")
    assert json.loads(again.out)["warnings"] == warnings
    assert again.err.strip().splitlines()[-1] == last
