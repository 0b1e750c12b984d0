from flights.source import read


def test_whole_year_is_read() -> None:
    """All flights of 2013 are there, though importing their package fails on a new setuptools."""
    raw = read()

    assert len(raw.flights) == 336_776
    assert len(raw.weather) == 26_115
    assert len(raw.planes) == 3_322


def test_reading_twice_costs_once() -> None:
    """A second call hands out the tables of the first."""
    assert read() is read()
