"""What domain encoders and text rely on in the tokenizer."""

import string

import pytest

SENTENCES = {
    "en": "It was the best of times, it was the worst of times; don't ask why in 1859.",
    "fr": "Où est-ce que j'ai laissé mes clés, l'été dernier ?",
    "ru": "Все счастливые семьи похожи друг на друга.",
    "de": "Die Straßenbahn fährt übermorgen nicht – schöne Grüße!",
    "it": "Perché non è più qui? C'è già un'altra.",
    "el": "Θυμάμαι καλά εκείνη τη μέρα στην Αθήνα.",
    "es": "¿Dónde está el niño? ¡Mañana será otro día!",
    "pt": "Não há coração que não conheça a saudade.",
    "space": "  two  spaces\n\n\ttab and\r\n end ",
    "beyond": "emoji 🙂, 中文, \u00a0, e\u0301",
}
# The symbols that occur in the molecules that the model was trained on.
SMILES_SYMBOLS = (
    "# % ( ) + - / 0 1 2 3 4 5 6 7 8 9 = @ @@ B Br C Cl F H I N O P S Si [ \\ ] b c n o s"
)


@pytest.mark.parametrize("symbol", [*SMILES_SYMBOLS.split(), *string.ascii_uppercase, "Na", "Se"])
def test_symbol_spelled_alone_is_one_token(tokenizer, symbol):
    """Encoders spell symbols by these tokens, so each must be one, and the plain text of it."""
    ids = tokenizer(symbol, add_special_tokens=False).input_ids
    assert [symbol] == tokenizer.convert_ids_to_tokens(ids)


def test_every_printable_ascii_character_alone_is_one_token(tokenizer):
    """No other domain's single-character alphabet needs a second token."""
    characters = string.ascii_letters + string.digits + string.punctuation + " \n\t"
    ids = [tokenizer(c, add_special_tokens=False).input_ids for c in characters]
    assert [1] * len(characters) == [len(i) for i in ids]
    assert len(characters) == len({i[0] for i in ids})


def test_digits_stay_apart(tokenizer):
    """A number is read digit by digit, so its value is spelled and not memorized."""
    assert list("1859") == tokenizer.tokenize("1859")
    assert list("314") == tokenizer.tokenize("weight 314")[-3:]


@pytest.mark.parametrize("text", SENTENCES.values(), ids=SENTENCES)
def test_round_trip_is_exact(tokenizer, text):
    """Text comes back character by character, white space and unknown scripts included."""
    assert text == tokenizer.decode(tokenizer(text).input_ids)


def test_nothing_is_added(tokenizer):
    """No token appears that the text does not spell: templates place every token themselves."""
    with_default = tokenizer("abc").input_ids
    assert with_default == tokenizer("abc", add_special_tokens=False).input_ids
    assert [] == tokenizer("").input_ids


def test_special_tokens(tokenizer):
    """Padding and end have ids of their own, and there is no beginning token."""
    assert ("<pad>", 0) == (tokenizer.pad_token, tokenizer.pad_token_id)
    assert ("</s>", 1) == (tokenizer.eos_token, tokenizer.eos_token_id)
    assert tokenizer.bos_token_id is None


@pytest.mark.parametrize("language", ["fr", "ru", "de", "it", "el", "es", "pt", "en"])
def test_each_language_is_compressed(tokenizer, language):
    """No language falls back to bytes: a token covers at least 1.8 characters on average."""
    text = SENTENCES[language]
    assert len(text) / len(tokenizer(text).input_ids) > 1.8


def test_chemistry_plugin_symbols_are_single_tokens(tokenizer):
    """The chemistry plugin's alphabet spells each symbol of the training data as one token."""
    encoder = pytest.importorskip("taglm_chem.encoder").SmilesEncoder()
    spellings = dict(zip(encoder.symbols, encoder.spellings, strict=True))
    for symbol in SMILES_SYMBOLS.split():
        assert len(tokenizer(spellings[symbol], add_special_tokens=False).input_ids) == 1
