"""Which split a sentence lies in: one bucket for all its languages, decided by the English side.

The key is that of the embedded backbone's training, so that its test bucket stays unseen.
"""

from collections.abc import Mapping, Sequence

from taglm_core.plugin import splits_by_groups


def text_key(text: str) -> str:
    """Return the key of a text."""
    return "text:" + text.strip()


def sentence_key(texts: Mapping[str, str], sentence_id: str = "") -> str:
    """Return the key of a sentence in several languages.

    Args:
        texts: Language tag -> text.
        sentence_id: Decides when there is no English text.
    """
    if texts.get("EN"):
        return text_key(texts["EN"])
    if sentence_id:
        return "id:" + sentence_id
    return text_key(min(text for text in texts.values() if text))


def corpus_groups(rows: Sequence[str]) -> list[str]:
    """Return the key of each row of a one-language corpus (or of its English side)."""
    return [text_key(row) for row in rows]


def assign_pairs(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Put rows that share a sentence on either side into one split.

    Rows hang together when a text of the same language occurs in both. The keys of such a cluster
    are its English texts (else its smallest text); when all of them lie in one split, so do its
    rows, and when they differ the rows are for training: what the embedded backbone has read never
    becomes test data.

    Args:
        columns: `src_lang`, `source`, `tgt_lang`, `target`, `(rows,)` each; without a target the
            source decides, without a language it counts as one of its own.
        seed: Not used; the rule is fixed.
    """
    sides = list(
        zip(_side(columns, "src_lang", "source"), _side(columns, "tgt_lang", "target"), strict=True)
    )
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for left, right in sides:
        parent[root(left)] = root(right)
    clusters: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for node in parent:
        clusters.setdefault(root(node), []).append(node)
    split_of = {key: _cluster_split(members) for key, members in clusters.items()}
    return [split_of[root(left)] for left, _ in sides]


def _side(columns: Mapping[str, Sequence[str]], language: str, text: str) -> list[tuple[str, str]]:
    """Return (language, text) of one side of each row."""
    texts = columns.get(text, columns["source"])
    tags = columns.get(language, [""] * len(texts))
    return [(str(tag), str(value)) for tag, value in zip(tags, texts, strict=True)]


def _cluster_split(members: Sequence[tuple[str, str]]) -> str:
    english = [text for tag, text in members if tag.upper() == "EN"]
    keys = [text_key(text) for text in english or [min(text for _, text in members)]]
    splits = set(splits_by_groups(keys))
    return splits.pop() if len(splits) == 1 else "train"
