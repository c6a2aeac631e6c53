"""TF-IDF of texts with ridge or logistic regression: what one would try first on text."""

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from taglm_core import TaskData
from taglm_studies.one_hot_id import OneHotRows, recurring

MOST_COLUMNS = 50_000
"""Most frequent words and pairs of words, and as many pieces of words, of each field."""


def tfidf_rows(data: TaskData) -> OneHotRows | None:
    """Weight words, pairs of words and pieces of up to four letters by TF-IDF.

    Counted are the fields in the LM's own words, and those of domains without features; a field
    whose values recur, such as a cell line, has a column for each value as well.

    Returns:
        Rows of all splits; None when there is no text that does not recur.
    """
    train = _texts(data, "train")
    if not any(not recurring(values) for values in train.values()):
        return None
    blocks: dict[str, list[scipy.sparse.csr_array]] = {split: [] for split in data.splits}
    for name in train:
        for vectorizer in _vectorizers():
            try:
                vectorizer.fit(train[name])
            except ValueError:  # no word at all, such as texts of punctuation
                continue
            for split in data.splits:
                weights = vectorizer.transform(_texts(data, split)[name])
                blocks[split].append(scipy.sparse.csr_array(weights))
    if not blocks["train"]:
        return None
    matrices = {
        s: scipy.sparse.hstack(matrices_of_split, format="csr")
        for s, matrices_of_split in blocks.items()
    }
    return OneHotRows(matrices, tuple(train))


def _vectorizers() -> list[TfidfVectorizer]:
    shared = {"sublinear_tf": True, "max_features": MOST_COLUMNS, "dtype": np.float32}
    return [
        TfidfVectorizer(ngram_range=(1, 2), **shared),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **shared),
    ]


def _texts(data: TaskData, split: str) -> dict[str, list[str]]:
    data_of_split = data.splits[split]
    columns = {f: rows for f, rows in data_of_split.fields.items() if f not in data.features}
    columns |= data_of_split.texts
    return {
        name: [row if isinstance(row, str) else " ".join(row) for row in rows]
        for name, rows in columns.items()
    }
