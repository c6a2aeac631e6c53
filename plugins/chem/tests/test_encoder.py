"""Tests of the SMILES encoder: exact round trips, errors with positions, whole batches."""

import hashlib
import random

import numpy as np
import pytest
from rdkit import Chem, rdBase

from taglm_chem.encoder import ELEMENTS, SmilesEncoder
from taglm_core.specs import Encoder

ODD_MOLECULES = (
    "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1",  # ferrocene
    "[CH]12=[CH]3[CH]4=[CH]5[CH-]1[Fe+2]23451234C5=C1[CH-]2C3=C45",
    "[Fe+2]12345678(<-[cH]9[cH]->1[cH]->2[cH]->3[cH-]->49)<-[cH]1[cH]->5[cH]->6[cH]->7[cH-]->81",
    "N[Pt@SP1](N)(Cl)Cl",  # cisplatin
    "N[Pt@SP2](N)(Cl)Cl",
    "C[As@TB15](F)(Cl)(Br)N",
    "C[Co@OH25](F)(Cl)(Br)(I)S",
    "[C@TH1](F)(Cl)(Br)I",
    "OC(Cl)=[C@AL1]=C(C)F",
    "[NH3]->[Cu+2]<-[NH3]",
    "[2H]C([2H])([2H])O",
    "N[13C@@H](C)C(=O)O",
    "[Na+].[Cl-]",
    "[CH3:1][CH2:2][OH:12]",
    "[235U]",
    "[Og]",
    "[Sc]",
    "Sc1ccccc1",
    "[Sc+3].[O-]c1ccccc1",
    "c1cc[se]c1",
    "c1cc[te]c1",
    "[siH]1ccccc1",
    "[asH]1cccc1",
    "b1ccccc1",
    "p1ccccc1",
    "c1ccc2cccc-2cc1",  # azulene
    "C#CC#N",
    "[C-]#[O+]",
    "C[N+](C)(C)CC([O-])=O",
    "[Fe++]",
    "[O-][n+]1ccccc1",
    "F/C=C/F",
    "F/C=C\\F",
    "C/C=C/C=C\\C",
    "*c1ccc(*)cc1",
    "[1*]C[*:3]",
    "[H][H]",
    "[H+]",
    "[Cm]$[Cm]",
    "CC~CC",
    "C[Si](C)(C)C",
    "OB(O)c1ccccc1",
    "[Ru+2]12(<-n3ccccc3-c3ccccn->13)<-n1ccccc1-c1ccccn->21",
    "C1CC2CCC1CC2",
    "[K+].[K+].[O-]C(=O)C([O-])=O",
    "CS(=O)(=O)[N-][N+]#N",
    "[3H]c1c([2H])c([14CH3])ccc1",
    "C[C@H]1CC[C@@H](C(C)C)CC1",
    "[He]",
    "[U+6]",
    "[Al-](F)(F)(F)F",
    "Clc1c(Br)c(I)cc(F)c1",
)

FULLERENE = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6"
    "c%11c2c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41"
)

WAYS_TO_WRITE = (
    {},
    {"isomericSmiles": False},
    {"kekuleSmiles": True},
    {"allBondsExplicit": True},
    {"allHsExplicit": True},
    {"doRandom": True},
    {"doRandom": True, "kekuleSmiles": True, "allBondsExplicit": True, "allHsExplicit": True},
)


def split(encoded):
    """Return the ids of each row as a list."""
    bounds = encoded.offsets.tolist()
    return [encoded.ids[a:b].tolist() for a, b in zip(bounds, bounds[1:], strict=False)]


def symbols_of(row):
    """Return the symbols of a row that must encode."""
    encoder = SmilesEncoder()
    encoded = encoder.encode_batch([row])
    assert encoded.errors == [None]
    return [encoder.symbols[i] for i in encoded.ids]


def assert_round_trip(rows):
    """Demand that every row encodes and comes back."""
    encoder = SmilesEncoder()
    encoded = encoder.encode_batch(rows)
    assert [e for e in encoded.errors if e is not None] == []
    assert [encoder.decode(ids) for ids in split(encoded)] == list(rows)


def spellings_of(smiles, num_random=20):
    """Return what RDKit writes for a molecule in every way that it offers."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:  # bonds and valences that RDKit reads but does not sanitise
            mol = Chem.MolFromSmiles(smiles, sanitize=False)
        written = {smiles}
        for way in WAYS_TO_WRITE:
            copy = Chem.Mol(mol)
            if way.get("kekuleSmiles"):
                Chem.Kekulize(copy, clearAromaticFlags=True)
            for _ in range(num_random if way.get("doRandom") else 1):
                written.add(Chem.MolToSmiles(copy, **way))
        written.add(Chem.MolToSmiles(Chem.AddHs(mol)))
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(atom.GetIdx() + 1)
        written.add(Chem.MolToSmiles(mol))
    return sorted(written)


def test_encoder_satisfies_the_protocol():
    """The core accepts any object with these attributes and methods."""
    encoder = SmilesEncoder()
    assert isinstance(encoder, Encoder)
    assert encoder.version == "1"


def test_alphabet_is_unique_and_spelled_by_itself():
    """Equal symbols or spellings would give equal embedding rows."""
    encoder = SmilesEncoder()
    assert len(set(encoder.symbols)) == len(encoder.symbols)
    assert encoder.spellings == encoder.symbols
    assert len(ELEMENTS) == 118


def test_order_of_the_alphabet_is_fixed():
    """Artifacts store ids, so another order needs another version of the encoder."""
    text = " ".join(SmilesEncoder().symbols)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "3987f4d4d12dc7e8"


@pytest.mark.parametrize("smiles", ODD_MOLECULES)
def test_round_trip_of_odd_molecules(smiles):
    """Everything that RDKit writes for unusual chemistry comes back exactly."""
    assert_round_trip(spellings_of(smiles))


def test_round_trip_of_large_polycycle():
    """Ring closures beyond nine are written with a percent sign."""
    spellings = spellings_of(FULLERENE, num_random=5)
    assert any("%1" in row for row in spellings)
    assert_round_trip(spellings)


def test_round_trip_of_ring_closures_beyond_99():
    """Ring closures beyond 99 are written as %(100)."""
    assert_round_trip(["C%(100)CC%(100)"])
    assert symbols_of("C%(100)")[1:] == ["%", "(", "1", "0", "0", ")"]


def test_round_trip_of_every_element():
    """All elements have a symbol of their own inside brackets, with isotope, charge and map."""
    assert_round_trip([f"[{number}{e}H2+2:7]" for number, e in enumerate(ELEMENTS, 1)])
    assert [symbols_of(f"[{e}]")[1] for e in ELEMENTS] == list(ELEMENTS)


UNWRITABLE = {"THREECENTER", "DATIVEL", "DATIVER", "OTHER"}  # RDKit itself refuses these


@pytest.mark.parametrize("bond", sorted(set(Chem.BondType.names) - UNWRITABLE))
def test_round_trip_of_every_bond_type(bond):
    """Whatever sign RDKit uses for a kind of bond is in the alphabet."""
    mol = Chem.RWMol(Chem.MolFromSmiles("CC"))
    mol.GetBondWithIdx(0).SetBondType(Chem.BondType.names[bond])
    assert_round_trip([Chem.MolToSmiles(mol, allBondsExplicit=True)])


@pytest.mark.parametrize("smarts", ["[C,N]~[!#6]", "[#6]-[#7;R]", "[$(CO)]=,:C", "[C;H1]@[N]"])
def test_round_trip_of_query_molecules(smarts):
    """What RDKit writes for a query is made of the same symbols."""
    assert_round_trip([Chem.MolToSmiles(Chem.MolFromSmarts(smarts))])


def test_brackets_decide_between_scandium_and_sulfur():
    """The same two letters are one element inside brackets and two atoms outside."""
    assert symbols_of("Sc") == ["S", "c"]
    assert symbols_of("[Sc]") == ["[", "Sc", "]"]
    assert symbols_of("Cn") == ["C", "n"]
    assert symbols_of("[Cn]C") == ["[", "Cn", "]", "C"]


def test_chirality_is_read_after_the_at_sign_only():
    """OH is a chirality class after @ and oxygen with a hydrogen elsewhere."""
    assert symbols_of("[Co@OH12]") == ["[", "Co", "@", "OH", "1", "2", "]"]
    assert symbols_of("[OH-]") == ["[", "O", "H", "-", "]"]
    assert symbols_of("[C@@H]") == ["[", "C", "@@", "H", "]"]
    assert symbols_of("[C@@TH1]") == ["[", "C", "@@", "TH", "1", "]"]


def test_two_letter_atoms_do_not_reach_over_rows():
    """Rows are joined for speed, which must not join their letters."""
    encoder = SmilesEncoder()
    encoded = encoder.encode_batch(["CC", "l", "C"])
    assert encoded.errors == [None, "unknown symbol 'l' at position 1", None]
    assert encoded.offsets.tolist() == [0, 2, 2, 3]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("", "empty SMILES"),
        ("CCCCJ", "unknown symbol 'J' at position 5"),
        ("CC O", "unknown symbol ' ' at position 3"),
        ("C\nC", "unknown symbol '\\n' at position 2"),
        ("CéC", "unknown symbol 'é' at position 2"),
        ("C\ud800", "unknown symbol '\\ud800' at position 2"),
        ("é[C", "'[' at position 2 is never closed"),
        ("C[Na", "'[' at position 2 is never closed"),
        ("C]", "']' at position 2 without a '[' before it"),
        ("[C]]C[", "']' at position 4 without a '[' before it"),
        ("C[[Na]]", "'[' at position 3 inside the bracket opened at position 2"),
        ("CNa", "unknown symbol 'a' at position 3; write [Na] for the element Na"),
        ("CHC", "unknown symbol 'H' at position 2; write [H] for the element H"),
        ("[C=C]", "unknown symbol '=' at position 3, inside brackets"),
        ("[Xy]", "unknown symbol 'X' at position 2, inside brackets"),
        ("C@C", "unknown symbol '@' at position 2"),
    ],
)
def test_errors_name_the_character_and_its_position(row, message):
    """A user must find the place in a long SMILES; the neighbors are not touched."""
    encoder = SmilesEncoder()
    encoded = encoder.encode_batch(["CCl", row, "[Sc]"])
    assert encoded.errors == [None, message, None]
    assert encoded.offsets.tolist() == [0, 2, 2, 5]
    assert encoder.decode(encoded.ids) == "CCl[Sc]"


def test_a_missing_value_is_an_error_of_its_row():
    """The content of a row never raises, not even when it is no text."""
    encoded = SmilesEncoder().encode_batch([None, "C", 3])
    assert encoded.errors == ["not text but None", None, "not text but 3"]


def test_shapes_and_types_of_batches():
    """The core relies on these types, for no row as well."""
    for rows in ([], ["C"], ["C", "CC"], [""]):
        encoded = SmilesEncoder().encode_batch(rows)
        assert encoded.ids.dtype == np.int32
        assert encoded.offsets.dtype == np.int64
        assert encoded.offsets.shape == (len(rows) + 1,)
        assert len(encoded.errors) == len(rows)
        assert encoded.offsets[-1] == len(encoded.ids)


def test_batch_equals_rows_alone_over_block_borders():
    """A large batch is cut into blocks; the result may not show where."""
    encoder = SmilesEncoder()
    rows = [*ODD_MOLECULES, "C[", "J", ""] * 400
    encoded = encoder.encode_batch(rows)
    alone = {row: encoder.encode_batch([row]) for row in set(rows)}
    assert split(encoded) == [alone[row].ids.tolist() for row in rows]
    assert encoded.errors == [alone[row].errors[0] for row in rows]


def test_random_text_round_trips_or_has_an_error():
    """Sampled text is arbitrary: it must neither crash nor come back changed."""
    generator = random.Random(0)
    pieces = [*SmilesEncoder().symbols, "[", "]", "@", "@", "l", "a", "é"]
    rows = [
        "".join(generator.choice(pieces) for _ in range(generator.randrange(12)))
        for _ in range(5000)
    ]
    rows += [f"[{row}]" for row in rows]
    encoder = SmilesEncoder()
    encoded = encoder.encode_batch(rows)
    for row, ids, error in zip(rows, split(encoded), encoded.errors, strict=True):
        assert encoder.decode(ids) == ("" if error else row)
    assert sum(error is None for error in encoded.errors) > 1000


def test_encoding_does_not_change_with_the_batch():
    """Equal rows give equal ids at any place."""
    first, second = split(SmilesEncoder().encode_batch(["[Sc]Cl", "[Sc]Cl"]))
    assert first == second
