"""Broken functions of domains."""

import numpy as np

import taglm_core as taglm
from contract_cases import Case, domain, letters
from taglm_core.specs import Checked


def one_less(rows):
    """Lose a row."""
    return Checked(list(rows[1:]), [None] * len(rows[1:]))


def both(rows):
    """Give a value and an error."""
    return Checked(list(rows), ["suspicious"] * len(rows))


def growing(rows):
    """Add a letter each time."""
    return Checked([row + "a" for row in rows], [None] * len(rows))


def plain_list(rows):
    """Forget the class."""
    return list(rows)


def numbered(rows):
    """Doubt by the row's place in the batch."""
    return [f"row {i} of {len(rows)}" if i % 2 else None for i, _ in enumerate(rows)]


def saying_no(rows):
    """Answer with truth values."""
    return [False for _ in rows]


def one_answer(rows):
    """Answer once for all."""
    return [None]


def everywhere(rows):
    """Doubt every row."""
    return ["something else"] * len(rows)


def flat(rows):
    """Give one number a row, without a second axis."""
    return np.array([len(row) for row in rows], dtype=np.float32)


def wide(rows):
    """Give float64."""
    return np.array([[len(row)] for row in rows], dtype=np.float64)


def with_nan(rows):
    """Give NaN for strings without an a."""
    found = [[len(row) if "a" in row else np.nan] for row in rows]
    return np.array(found, dtype=np.float32)


def centered(rows):
    """Subtract the mean of the batch."""
    made = np.array([[len(row)] for row in rows], dtype=np.float32)
    return made - made.mean()


def broad(rows):
    """Give more positions than a fingerprint may have."""
    return np.ones((len(rows), 40_000), dtype=np.float32)


def blank(rows):
    """Set no position."""
    return np.zeros((len(rows), 3), dtype=np.float32)


def another(rows, rng):
    """Reverse every row, which is another string."""
    return [row[::-1] + "a" for row in rows]


def own_random(rows, rng):
    """Use another generator than the one given."""
    order = np.random.default_rng().permutation(len(rows))
    return [rows[i] for i in order]


def capitals(rows, rng):
    """Give what the encoder refuses."""
    return [row.upper() for row in rows]


def with_declaration(row):
    """Put an XML declaration first."""
    return "<?xml version='1.0'?><svg/>"


def unclosed(row):
    """Forget to close the element."""
    return "<svg><g></svg>"


def half_bad(*, seed, size):
    """Give rows that the encoder refuses."""
    return {"letters": ["abc", "abx"] * ((size or 10) // 2)}


def never(cells):
    """Recognize one cell fewer than there are."""
    return [False] * (len(cells) - 1)


def maybe(cells):
    """Answer in words."""
    return ["maybe"] * len(cells)


def anything(cells):
    """Recognize every cell."""
    return [True] * len(cells)


def one_group(rows):
    """Put everything into a group of the test bucket."""
    return ["22"] * len(rows)


def arrays(data):
    """Give numpy arrays."""
    return {"valid": np.ones(len(data.rows))}


ODD = {"odd": f"{__name__}:arrays"}
HALF_BAD = taglm.Dataset(name="half", load=f"{__name__}:half_bad", columns=("letters",))


class Unpicklable(str):
    """Text that no worker process can receive."""

    def __reduce__(self):
        """Refuse."""
        raise TypeError("cannot pickle this text")


def case(check, match, function=None, field=None, **changes):
    """Return a case of the toy domain with one function changed."""
    if function is not None:
        changes[field] = f"{__name__}:{function.__name__}"
    made = letters(domains=[domain(**changes)], datasets=[HALF_BAD])
    return Case(kind="domain", check=check, match=match, plugin=made)


CASES = [
    case("canonical_answers", "values and .* errors for .* rows", one_less, "canonical"),
    case("canonical_answers", "give either a value and None", both, "canonical"),
    case("canonical_answers", r"gives list; give taglm.Checked", plain_list, "canonical"),
    case("canonical_idempotent", "when `canonical` is applied again", growing, "canonical"),
    case("features_finite", r"gives ndarray of shape \(20,\) for 20 rows", flat, "features"),
    case("features_finite", "gives float64; make it float32", wide, "features"),
    case("features_finite", "hold NaN or infinity", with_nan, "features"),
    case("features_batch", "depend on the rows beside it", centered, "features"),
    case("fingerprint_answers", r"of shape \(20, positions\)", flat, "fingerprint"),
    case(
        "fingerprint_answers", "gives 40,000 positions; give at most 32,768", broad, "fingerprint"
    ),
    case("fingerprint_answers", "is 0 everywhere", blank, "fingerprint"),
    case("fingerprint_batch", "the fingerprint of .* depend on", centered, "fingerprint"),
    case("descriptors_finite", "`descriptors` gives float64; make it float32", wide, "descriptors"),
    case("descriptors_finite", "`descriptors` of .* hold NaN", with_nan, "descriptors"),
    case("descriptors_batch", "the descriptors of .* depend on", centered, "descriptors"),
    case(
        "augment_keeps",
        "another thing, which would carry a wrong label",
        another,
        "augment",
        canonical="toy_plugin:canonical",
    ),
    case("augment_keeps", "other rows for the same generator", own_random, "augment"),
    case("augment_keeps", "which the encoder rejects: unknown symbol", capitals, "augment"),
    case("doubt_answers", "depends on the rows beside it", numbered, "doubt"),
    case("doubt_answers", "returns False for .*; give None, or what", saying_no, "doubt"),
    case("doubt_answers", "gives 1 results for", one_answer, "doubt"),
    case("doubt_rare", "rows of the corpus for something else", everywhere, "doubt"),
    case("recognize_answers", "gives .* results for .* cells", never, "recognize"),
    case("recognize_answers", "returns 'maybe'; give True or False", maybe, "recognize"),
    case("recognize_rare", "takes 'yes', 'NO', .* for a row", anything, "recognize"),
    case("draw_svg", "without an XML declaration", with_declaration, "draw"),
    case("draw_svg", "no well-formed SVG: mismatched tag", unclosed, "draw"),
    case("sample_metrics_answer", "metrics 'odd' give .*; give a mapping", sample_metrics=ODD),
    case("corpus_readable", "corpus rows cannot be encoded, the first is 'abx'", corpus="half"),
    case("corpus_readable", "unknown dataset 'lettres'.* Did you mean", corpus="lettres"),
    case("split_found", "domain bad/Letters: unknown splitter 'prefx'", split="prefx"),
    case(
        "references_exist",
        "features: 'toy_plugin:nothing' cannot be imported",
        features="toy_plugin:nothing",
    ),
    case(
        "references_exist",
        "is tuple and cannot be called",
        features="toy_plugin:LettersEncoder.symbols",
    ),
    case("pickles", "raised TypeError: cannot pickle this text", description=Unpicklable("x")),
]
