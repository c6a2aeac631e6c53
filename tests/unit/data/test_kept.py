"""Results of plugin functions are kept by rows and code; whatever else changes nothing."""

import numpy as np
import pytest

from taglm_core.data import kept
from taglm_core.specs import Checked

ROWS = [f"row {i}" for i in range(150)]


@pytest.fixture
def asked(monkeypatch):
    """Have a made-up plugin's code kept; return how to ask for a result, and the calls it made."""
    monkeypatch.setattr(kept, "distributions", lambda: {"toy": "toy-plugin"})
    monkeypatch.setattr(kept, "code_stamp", lambda reference: "stamp")
    calls = []

    def ask(answer, rows=ROWS, **options):
        def function(given, **more):
            calls.append(len(given))
            return answer(given, **more)

        return kept.kept_result("toy.rows:f", function, rows, len(rows), "toy", **options)

    ask.calls = calls
    return ask


@pytest.mark.parametrize(
    "answer",
    [
        lambda rows: Checked([row.upper() for row in rows[:-1]] + [None], [None] * 149 + ["bad"]),
        lambda rows: [len(row) for row in rows],
        lambda rows: np.arange(2 * len(rows), dtype=np.float32).reshape(len(rows), 2),
    ],
    ids=["checked", "list", "array"],
)
def test_the_second_time_nothing_is_computed(asked, answer):
    """And the result is the same, of the same type."""
    first, second = asked(answer), asked(answer)
    assert asked.calls == [150]
    assert type(first) is type(second)
    np.testing.assert_array_equal(np.asarray(first[0]), np.asarray(second[0]))
    assert len(first) == len(second)


def test_other_rows_options_and_code_are_computed(asked, monkeypatch):
    """Each of them is part of the key."""
    asked(list)
    asked(list, rows=[*ROWS, "another"])
    asked(lambda rows, seed: rows, seed=1)
    monkeypatch.setattr(kept, "code_stamp", lambda reference: "newer code")
    asked(list)
    assert asked.calls == [150, 151, 150, 150]


def test_few_rows_and_code_outside_plugins_are_computed_each_time(asked, monkeypatch):
    """A script can change in places that nobody lists."""
    asked(list, rows=ROWS[:10])
    asked(list, rows=ROWS[:10])
    monkeypatch.setattr(kept, "distributions", dict)
    asked(list)
    asked(list)
    assert asked.calls == [10, 10, 150, 150]


def test_what_json_would_change_is_not_kept(asked):
    """A tuple would come back as a list."""
    first, second = (asked(lambda rows: [(row,) for row in rows]) for _ in range(2))
    assert asked.calls == [150, 150]
    assert first == second


def test_a_damaged_file_is_made_anew(asked):
    """A full disk or a killed process costs time alone."""
    asked(list)
    (file,) = (kept.home() / "cache").iterdir()
    file.write_bytes(b"half")
    assert asked(list) == ROWS
    assert asked.calls == [150, 150]


def test_the_folder_does_not_grow_without_bound(asked, monkeypatch):
    """The results that were made first are removed."""
    monkeypatch.setattr(kept, "_MOST_BYTES_OF_ALL", 1000)
    for i in range(6):
        asked(list, rows=[f"{i} {row}" for row in ROWS])
    total = sum(file.stat().st_size for file in (kept.home() / "cache").iterdir())
    assert total <= 1000
    assert (kept.home() / "cache").is_dir()
