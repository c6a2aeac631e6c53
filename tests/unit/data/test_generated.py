"""Generated datasets are made once in a process for the same seed and size."""

from taglm_core.data.datasets import load_dataset


def test_folds_share_the_rows_of_a_corpus(toy_registry, monkeypatch):
    """The loader runs again for another seed or size only; a caller may change what it got."""
    import toy_plugin

    calls = []

    def digits(*, seed, size):
        calls.append((seed, size))
        return {"digits": [f"{seed}{i}" for i in range(size or 2)]}

    monkeypatch.setattr(toy_plugin, "digits", digits)
    dataset = toy_registry.datasets.get("digits")
    first = load_dataset(dataset, 0, 3)
    first.columns["digits"][0] = "changed"
    assert load_dataset(dataset, 0, 3).columns["digits"] == ["00", "01", "02"]
    assert load_dataset(dataset, 1, 3).columns["digits"][0] == "10"
    assert load_dataset(dataset, 0, None).num_rows == 2
    assert calls == [(0, 3), (1, 3), (0, None)]
