"""Broken datasets, splits, tasks and templates."""

import itertools
import random

import numpy as np

import taglm_core as taglm
from contract_cases import Case, domain, letters, plugin, task

_calls = itertools.count()
HERE = __name__


def surplus(*, seed, size):
    """Give a column that was not declared."""
    return {"letters": ["abc"] * (size or 5), "more": [1] * (size or 5)}


def lacking(*, seed, size):
    """Give another column."""
    return {"text": ["abc"] * (size or 5)}


def nothing(*, seed, size):
    """Give no row."""
    return {"letters": []}


def mixed(*, seed, size):
    """Mix text and numbers."""
    return {"letters": ["abc", 7] * 10}


def lists(*, seed, size):
    """Hold lists."""
    return {"letters": [["a"]] * 10}


def fixed_size(*, seed, size):
    """Ignore the size."""
    return {"letters": ["abc"] * 10}


def moody(*, seed, size):
    """Ignore the seed and give other rows each time."""
    return {"letters": ["abc"[next(_calls) % 3] * 3 for _ in range(size or 5)]}


def stubborn(*, seed, size):
    """Ignore the seed and give the same rows each time."""
    return {"letters": ["abc"] * (size or 5)}


def leaking(*, seed, size):
    """Put the same string into two splits."""
    return {"letters": ["a", "b", "c", "a"], "split": ["train", "valid", "test", "test"]}


def no_test(*, seed, size):
    """Leave the test split empty."""
    return {"letters": ["a", "b"], "split": ["train", "valid"]}


def refused(*, seed, size):
    """Give strings that the encoder refuses."""
    return {"letters": ["xyz"] * (size or 20), "share_a": [0.5] * (size or 20)}


def with_gaps(*, seed, size):
    """Leave a target empty."""
    rows = [f"{'abc'[i % 3]}{'abc'[i // 3 % 3]}" + "a" * (i // 9) for i in range(size or 60)]
    return {"letters": rows, "share_a": [None if i == 3 else 0.1 * i for i in range(size or 60)]}


def data(name, columns=("letters",), **changes):
    """Return a dataset of this module."""
    given = {"description": "Strings.", "license": "CC0-1.0"}
    load = f"{HERE}:{name}"
    return taglm.Dataset(**{"name": name, "load": load, "columns": columns, **given, **changes})


def dataset_case(check, match, name, columns=("letters",), **changes):
    """Return a case of a dataset."""
    made = letters(datasets=[data(name, columns, **changes)])
    return Case(kind="dataset", check=check, match=match, plugin=made, name=name)


def few_keys(rows):
    """Lose a row."""
    return [str(row) for row in rows[1:]]


def number_keys(rows):
    """Give numbers."""
    return [len(row) for row in rows]


def moody_keys(rows):
    """Give other keys each time."""
    return [f"{row}{random.random()}" for row in rows]


def place_keys(rows):
    """Give the place of a row."""
    return [str(i) for i, _ in enumerate(rows)]


def counting_keys(rows):
    """Look at the whole batch."""
    return [f"{row}{len(rows)}" for row in rows]


def one_key(rows):
    """Put everything into one group."""
    return ["same"] * len(rows)


def odd_splits(columns, seed):
    """Give a split that there is not."""
    return ["holdout"] * len(columns["letters"])


def split_case(check, match, **given):
    """Return a case of a split that the letters' domain uses."""
    made = {k: f"{HERE}:{f.__name__}" for k, f in given.items()}
    return Case(
        kind="splitter",
        check=check,
        match=match,
        plugin=letters(
            domains=[domain(split="own")], splitters=[taglm.Splitter(name="own", **made)]
        ),
    )


def endless(columns):
    """Give infinity for strings without an a."""
    return np.array(
        [[row.count("b") / row.count("a") if "a" in row else np.inf] for row in columns["letters"]]
    )


def all_equal(columns):
    """Give one label to all."""
    return np.ones((len(columns["letters"]), 1))


def without_axis(columns):
    """Forget the axis of the targets."""
    return np.array([len(row) for row in columns["letters"]], dtype=float)


def ranked(columns):
    """Look at the whole batch."""
    lengths = np.array([[len(row)] for row in columns["letters"]], dtype=float)
    return lengths - lengths.mean()


def strange_class(columns):
    """Give a class that the target does not know."""
    return ["odd" if len(row) % 2 else "evn" for row in columns["letters"]]


def task_case(check, match, kind="task", datasets=(), **changes):
    """Return a case of a task."""
    return Case(
        kind=kind,
        check=check,
        match=match,
        plugin=letters(tasks=[task(**changes)], datasets=list(datasets)),
    )


def computed(function):
    """Return a target computed by a function of this module."""
    return taglm.Regression(names=("share_a",), compute=f"{HERE}:{function.__name__}")


CLASSES = taglm.Classification(
    names="kind", classes=("odd", "even"), compute=f"{HERE}:strange_class"
)

CASES = [
    dataset_case("columns", "gives the columns letters, more, but declared are", "surplus"),
    dataset_case("columns", "lacks the column 'letters'", "lacking"),
    dataset_case("columns", "`load` gives no rows", "nothing"),
    dataset_case("types", "column 'letters' mixes number and text", "mixed"),
    dataset_case("types", "column 'letters' holds list", "lists"),
    dataset_case("size", r"`load\(size=1\)` makes 10 rows", "fixed_size", generated=True),
    dataset_case("same_seed", "two calls with the same seed give different rows", "moody"),
    dataset_case("other_seed", "seeds 0 and 1 give the same rows", "stubborn", generated=True),
    dataset_case("described", "`license` is empty; name the license", "stubborn", license=""),
    dataset_case("described", "`description` is empty", "stubborn", description=" "),
    dataset_case(
        "split_disjoint",
        "letters = 'a' is both in train and in test",
        "leaking",
        ("letters", "split"),
        split_column="split",
    ),
    dataset_case(
        "split_disjoint",
        "leaves the test split empty",
        "no_test",
        ("letters", "split"),
        split_column="split",
    ),
    split_case("rule_given", "gives neither groups nor assign"),
    split_case("covers", "splits for .* rows; give one for each", groups=few_keys),
    split_case("covers", "for a row; give a text key", groups=number_keys),
    split_case("covers", "gives 'holdout' for a row; give train", assign=odd_splits),
    split_case("deterministic", "split otherwise at the second call", groups=moody_keys),
    split_case("disjoint", "two equal rows are put into two splits", groups=place_keys),
    split_case("row_alone", "in a batch and .* alone", groups=counting_keys),
    split_case("all_splits", "falls into the .* split. Make the groups finer", groups=one_key),
    task_case("resolves", "task Share: unknown metric 'may'", metrics=("may",)),
    task_case("resolves", "judges classification", metrics=("auroc",)),
    task_case("settings_known", "Share, settings: unknown key 'hed'", settings={"hed": "mlp"}),
    task_case("dataset_found", "unknown dataset 'leters'", dataset="leters"),
    task_case("labels_computed", "gives .inf. for row", target=computed(endless)),
    task_case("labels_computed", "all labels are equal", target=computed(all_equal)),
    task_case("labels_computed", r"give \(\d+, 1\), one column", target=computed(without_axis)),
    task_case("labels_computed", "the class .'evn'.", target=CLASSES, metrics=("accuracy",)),
    task_case("labels_alone", "in a batch and .* alone", target=computed(ranked)),
    task_case(
        "rows_usable",
        "1 row of bad/with_gaps cannot be used, the first is row 4",
        dataset="with_gaps",
        datasets=[data("with_gaps", ("letters", "share_a"))],
    ),
    task_case(
        "parses",
        "the function tag <Share> is missing",
        "template",
        template="The string is <Letters>{letters}",
    ),
    task_case(
        "tags_exist",
        "unknown domain 'Lettres'.*Did you mean 'Letters'",
        "template",
        template="<Lettres>{letters}<Share>",
    ),
    task_case(
        "fields_exist",
        "no column for the field 'lettrs'",
        "template",
        template="<Letters>{lettrs}<Share>",
    ),
    task_case(
        "fields_exist",
        "the target column 'share_b' is not in bad/letters",
        "template",
        target=taglm.Regression(names=("share_b",)),
    ),
    task_case(
        "compiles",
        "cannot be assembled: letters: unknown symbol 'x'",
        "template",
        dataset="refused",
        datasets=[data("refused", ("letters", "share_a"))],
    ),
    Case(
        kind="template",
        check="tags_exist",
        match="unknown task 'Shore'",
        plugin=plugin(templates=[taglm.Template(name="short", task="Shore", text="x<Share>")]),
    ),
]
