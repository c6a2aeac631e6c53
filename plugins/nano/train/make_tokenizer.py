"""Builds the byte-level BPE tokenizer: digits apart, every SMILES symbol one token when alone."""

import json
from collections.abc import Iterable
from pathlib import Path

from molecules import TWO_LETTER_ELEMENTS
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 3072
PAD, EOS = "<pad>", "</s>"
# Merges that come before all learned ones, so that these pairs are always one token.
FORCED = ("@@", "Cl", "Br", *(e for e in TWO_LETTER_ELEMENTS if e not in ("Cl", "Br")))
# Words with their leading space, single digits, runs of punctuation, white space.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PRIVATE = 0xE000  # first code point of Unicode's private use area


def _splitter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _learn_merges(texts: Iterable[str], num_merges: int) -> list[tuple[str, str]]:
    """Learn BPE merges on text in which each forced pair already counts as one letter."""
    stand_ins = {pair: chr(_PRIVATE + i) for i, pair in enumerate(FORCED)}
    splitter = _splitter()

    def words() -> Iterable[str]:
        for text in texts:
            pieces = [piece for piece, _ in splitter.pre_tokenize_str(text)]
            for i, piece in enumerate(pieces):
                for pair, letter in stand_ins.items():
                    if pair in piece:
                        piece = piece.replace(pair, letter)
                pieces[i] = piece
            yield " ".join(pieces)

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) + list(stand_ins.values())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + num_merges, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(words(), trainer)
    spelled = {letter: pair for pair, letter in stand_ins.items()}
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [tuple("".join(spelled.get(c, c) for c in side) for side in merge) for merge in merges]


def build_tokenizer(texts: Iterable[str], folder: Path, vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Train the tokenizer on texts and save it in Hugging Face format.

    Args:
        texts: Text pieces, already balanced over languages.
        folder: Where tokenizer.json and tokenizer_config.json are written.
        vocab_size: Tokens in all.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    num_learned = vocab_size - 2 - len(alphabet) - len(FORCED)
    merges = [(pair[0], pair[1]) for pair in FORCED] + _learn_merges(texts, num_learned)
    vocab = {token: i for i, token in enumerate([PAD, EOS, *alphabet])}
    kept = []
    for left, right in merges:
        if left + right not in vocab:
            vocab[left + right] = len(vocab)
        kept.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=kept))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(PAD, special=True), AddedToken(EOS, special=True)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
    wrapped.save_pretrained(folder)
    return tokenizer
