"""A toy plugin: strings over a, b, c; tasks of every kind that a tiny random backbone can learn."""

import numpy as np

import taglm_core as taglm
from taglm_core.specs import Checked, Encoded


class LettersEncoder:
    """Encodes strings over a, b and c."""

    symbols = ("a", "b", "c")
    spellings = ("a", "b", "c")
    version = "1"

    def encode_batch(self, rows):
        """Encode; another letter is an error with its position."""
        errors, pieces = [], []
        for row in rows:
            wrong = [i for i, char in enumerate(row) if char not in "abc"]
            errors.append(f"unknown symbol {row[wrong[0]]!r} at {wrong[0] + 1}" if wrong else None)
            pieces.append([] if wrong else ["abc".index(char) for char in row])
        ids = np.array([i for piece in pieces for i in piece], dtype=np.int32)
        return Encoded(ids, np.cumsum([0, *map(len, pieces)]).astype(np.int64), errors)

    def decode(self, ids):
        """Join the letters."""
        return "".join("abc"[int(i)] for i in ids)


class DigitsEncoder:
    """Encodes strings over 0 and 1."""

    symbols = ("0", "1")
    spellings = ("0", "1")
    version = "1"

    def encode_batch(self, rows):
        """Encode; another digit is an error."""
        errors = [None if set(row) <= {"0", "1"} else "not binary" for row in rows]
        good = ["" if error else row for row, error in zip(rows, errors, strict=True)]
        ids = np.array([int(char) for row in good for char in row], dtype=np.int32)
        offsets = np.cumsum([0, *map(len, good)]).astype(np.int64)
        return Encoded(ids, offsets, errors)

    def decode(self, ids):
        """Join the digits."""
        return "".join(str(int(i)) for i in ids)


def digits(*, seed, size):
    """Make distinct binary numbers."""
    return {"digits": [f"{i:b}" for i in range(8, 8 + (size or 40))]}


def letters(*, seed, size):
    """Make distinct random strings with two targets and a class."""
    rng = np.random.default_rng(seed)
    made = {}
    while len(made) < (size or 120):
        row = "".join(rng.choice(list("abc"), size=rng.integers(3, 12)))
        made[row] = None
    rows = list(made)
    return {
        "letters": rows,
        "share_a": [row.count("a") / len(row) for row in rows],
        "length": [float(len(row)) for row in rows],
        "first": [row[0] for row in rows],
    }


def pairs(rows):
    """Tell which pairs of neighboring letters each string has, and which first letter."""
    parts = [{row[:1], *(a + b for a, b in zip(row, row[1:], strict=False))} for row in rows]
    places = ["a", "b", "c", *(a + b for a in "abc" for b in "abc")]
    return np.array([[place in held for place in places] for held in parts], dtype=np.uint8)


def canonical(rows):
    """Accept lower-case only; refuse strings with a z."""
    bad = ["a z is not allowed" if "z" in row else None for row in rows]
    return Checked([None if b else r.lower() for r, b in zip(rows, bad, strict=True)], bad)


def groups(rows):
    """Group by the first two letters and the length."""
    return [f"{row[:2]}{len(row)}" for row in rows]


def descriptors(rows):
    """Return the share of each letter."""
    shares = [[row.count(letter) / max(len(row), 1) for letter in "abc"] for row in rows]
    return np.array(shares, np.float32).reshape(len(rows), 3)


def features(rows):
    """Count the letters."""
    return np.array([[row.count(char) for char in "abc"] for row in rows], dtype=np.float32)


def share_of_a(columns):
    """Compute the share of the letter a."""
    return np.array([[row.count("a") / len(row)] for row in columns["letters"]])


def augment(rows, rng):
    """Reverse every row."""
    return [row[::-1] for row in rows]


@taglm.hookimpl
def register_domains():
    """Register the letters."""
    return [
        taglm.Domain(
            tag="Letters",
            field="letters",
            aliases=("string",),
            encoder="toy_plugin:LettersEncoder",
            corpus="letters",
            split="prefix",
            canonical="toy_plugin:canonical",
            features="toy_plugin:features",
            descriptors="toy_plugin:descriptors",
            augment="toy_plugin:augment",
        ),
        taglm.Domain(
            tag="Digits", field="digits", encoder="toy_plugin:DigitsEncoder", corpus="digits"
        ),
    ]


@taglm.hookimpl
def register_splitters():
    """Register the split by leading letters."""
    return [taglm.Splitter(name="prefix", groups="toy_plugin:groups")]


@taglm.hookimpl
def register_datasets():
    """Register the generated strings."""
    return [
        taglm.Dataset(
            name="letters",
            load="toy_plugin:letters",
            columns=("letters", "share_a", "length", "first"),
            generated=True,
        ),
        taglm.Dataset(name="digits", load="toy_plugin:digits", columns=("digits",), generated=True),
    ]


@taglm.hookimpl
def register_tasks():
    """Register one task of each numeric kind."""
    template = "The string is <Letters>{letters}. Its value is <%s>"
    return [
        taglm.Task(
            name="ShareA",
            function_tag="ShareA",
            template=template % "ShareA",
            target=taglm.Regression(names=("share_a",), compute="toy_plugin:share_of_a"),
            metrics=("mae", "r2"),
            dataset="letters",
        ),
        taglm.Task(
            name="Both",
            function_tag="Both",
            template=template % "Both",
            target=taglm.Regression(names=("share_a", "length")),
            metrics=("mae",),
            dataset="letters",
        ),
        taglm.Task(
            name="First",
            function_tag="First",
            template=template % "First",
            target=taglm.Classification(names=("first",)),
            metrics=("accuracy",),
            dataset="letters",
        ),
    ]


@taglm.hookimpl
def register_templates():
    """Register another prompt."""
    return [taglm.Template(name="short", task="ShareA", text="<Letters>{letters}<ShareA>")]
