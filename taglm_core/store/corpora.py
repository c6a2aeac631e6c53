"""What is known of the canonical rows of a corpus, kept beside the tag store by its content."""

import json
import logging
from pathlib import Path

import attrs

from taglm_core.data.atomic import kept_json, write_text
from taglm_core.data.corpus import Corpus
from taglm_core.store.fingerprint import fingerprint_of

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Known:
    """What a run needs to know of a corpus whose tag is in the store."""

    fingerprint: str
    """Of the canonical rows."""
    remarks: tuple[str, ...]
    """What the log said of its rows."""


def known_of(corpus: Corpus, folder: Path) -> Known:
    """Return the fingerprint of a corpus's canonical rows, making them only the first time.

    Args:
        corpus: As read.
        folder: Where it is kept from run to run.

    Raises:
        RowError: naming bad rows, unless the corpus keeps them.
    """
    file = folder / f"{fingerprint_of(corpus.content())}.json"
    try:
        stored = kept_json(file)
        known = Known(fingerprint=str(stored["fingerprint"]), remarks=tuple(stored["remarks"]))
    except (TypeError, KeyError):  # not there, or damaged: made anew
        known = Known(fingerprint=fingerprint_of(corpus.rows), remarks=tuple(corpus.remarks))
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(attrs.asdict(known), indent=1, ensure_ascii=False) + "\n")
        return known
    for remark in known.remarks:
        logger.warning("%s", remark)
    return known
