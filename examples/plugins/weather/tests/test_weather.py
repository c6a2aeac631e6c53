"""Values that can be worked out by hand or looked up."""

import numpy as np
import pytest

from taglm_weather.encoder import SCALES, AirEncoder
from taglm_weather.generated import stations
from taglm_weather.labels import deposit, dew_point
from taglm_weather.records import canonical, numbers, states


def test_saturated_air_has_its_own_temperature_as_dew_point():
    """At 100 % humidity nothing has to be cooled."""
    rows = [(str(t), "100", "1000") for t in (-20.0, 0.0, 25.5)]
    np.testing.assert_allclose(dew_point({"air": rows})[:, 0], [-20.0, 0.0, 25.5], atol=1e-9)


def test_a_dew_point_from_the_tables():
    """25 degrees and 50 % give 13.9 degrees."""
    assert dew_point({"air": [("25.0", "50", "1015")]})[0, 0] == pytest.approx(13.9, abs=0.05)


def test_deposit():
    """The class changes where the dew point crosses zero."""
    rows = [("0.0", "100", "1000"), ("0.0", "95", "1000"), ("30.0", "60", "1000")]
    assert deposit({"air": rows}) == ["dew", "frost", "dew"]


def test_values_are_rounded_to_the_scales():
    """Canonical records lie on the scales, whatever way the numbers were written."""
    checked = canonical([("21.4", "59.6", "1013.2"), ("+7e0", " 3 ", "850")])
    assert checked.values == [("21.5", "60", "1015"), ("7.0", "3", "850")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("warm", "50", "1000"), "temperature 'warm' is not a number"),
        (("20", "", "1000"), "humidity '' is not a number"),
        (("20", "50", "nan"), "pressure nan is outside 850 to 1085 hPa"),
        (("99", "50", "1000"), "temperature 99 is outside -40 to 60 degrees"),
    ],
)
def test_records_that_are_refused(row, message):
    """The column and its value are named."""
    checked = canonical([row])
    assert checked.values == [None]
    assert message in checked.errors[0]


def test_the_encoder_rounds_nothing():
    """A value beside the scale is an error there, and three symbols spell a record."""
    encoder = AirEncoder()
    encoded = encoder.encode_batch([("21.4", "60", "1015"), ("21.5", "60", "1015")])
    assert "'21.4' is not on the scale -40 to 60 degrees" in encoded.errors[0]
    assert encoded.offsets.tolist() == [0, 0, 3]
    assert encoder.decode(encoded.ids) == ("21.5", "60", "1015")
    assert len(encoder.symbols) == sum(scale.count for scale in SCALES) == 349


def test_features_and_keys():
    """Features are the numbers; the key leaves the pressure out."""
    rows = [("21.5", "60", "1015"), ("21.5", "60", "900")]
    assert numbers(rows).tolist() == [[21.5, 60.0, 1015.0], [21.5, 60.0, 900.0]]
    assert len(set(states(rows))) == 1


def test_generated_records_vary():
    """Both classes occur, and the dew points differ."""
    made = stations(seed=0, size=300)
    rows = canonical(list(zip(*made.values(), strict=True))).values
    assert set(deposit({"air": rows})) == {"dew", "frost"}
    assert dew_point({"air": rows}).std() > 5
