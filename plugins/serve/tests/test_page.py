"""The page in a browser, on a phone and on a desk: rows, invalid rows, drawings, the file."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start a browser."""
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def table(browser):
    """Return the cells of the table."""
    return browser.run(
        "[...document.querySelectorAll('#table tbody tr')].map((row) => "
        "[...row.cells].map((cell) => cell.innerText.trim()))"
    )


def fits(browser):
    """Say whether nothing is wider than the window."""
    return browser.run("document.documentElement.scrollWidth <= innerWidth")


def downloaded(browser):
    """Return the file that the page offers."""
    return browser.run(
        "new Promise((done) => { URL.createObjectURL = (blob) => { blob.text().then(done); "
        "return 'data:,'; }; save(); })"
    )


def predict(browser, name, text):
    """Choose a predictor, paste rows and wait until they are predicted."""
    browser.wait("document.getElementById('form').hidden === false")
    browser.run(
        f"document.getElementById('predictor').value = {name!r}; describe();"
        f"document.getElementById('values').value = {text!r};"
        "document.getElementById('result').hidden = true; document.getElementById('go').click()"
    )
    browser.wait("!document.getElementById('go').disabled")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_rows_are_predicted_and_drawn(browser, run, width, tmp_path):
    """Values, an invalid row with its reason, what the predictor reads, and the file."""
    address, _, _ = run()
    browser.open(address, width)
    predict(browser, "Share", "abca\nzz\nbb")
    first, second, _ = table(browser)
    assert first[:2] == ["1", "abca"]
    assert float(first[2])
    assert second[1] == "zz"
    assert second[3]
    assert fits(browser)
    browser.run("document.querySelector('#table button').click()")
    browser.wait("document.querySelector('.drawing p') !== null")
    assert browser.run("document.querySelector('.symbols').innerText") == "abca"
    assert "It says where the model reads" in table(browser)[1][0]
    assert fits(browser)
    pictures = Path(os.environ.get("PAGE_PICTURES", tmp_path))
    browser.picture(pictures / f"page-{width}.png")
    saved = downloaded(browser)
    assert saved.splitlines()[0] == "letters,Share,error"
    assert saved.splitlines()[1].startswith("abca,")
    assert len(saved.splitlines()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_interval_stands_beside_the_value(browser, run, width, tmp_path):
    """At 90 % unless another level or none is chosen; the file holds it too."""
    address, _, _ = run()
    browser.open(address, width)
    predict(browser, "Sum", "abca,101\nzz,1")
    shown = browser.run("[...document.querySelectorAll('#table th')].map((c) => c.textContent)")
    assert shown[:6] == ["row", "letters", "digits", "Sum", "Sum_low", "Sum_high"]
    first, second = table(browser)
    low, high = float(first[4]), float(first[5])
    assert low < float(first[3]) < high
    assert second[4:6] == ["", ""]
    assert fits(browser)
    pictures = Path(os.environ.get("PAGE_PICTURES", tmp_path))
    browser.picture(pictures / f"interval-{width}.png")
    saved = downloaded(browser)
    assert saved.splitlines()[0] == "letters,digits,Sum,Sum_low,Sum_high,error"
    assert saved.splitlines()[1].endswith(f",{first[4]},{first[5]},")
    choices = "[...document.getElementById('interval').options].map((o) => o.text)"
    assert browser.run(choices) == ["none", "50 % of values", "80 % of values", "90 % of values"]
    browser.run("document.getElementById('interval').value = ''")
    browser.run("document.getElementById('result').hidden = true")
    browser.run("document.getElementById('go').click()")
    browser.wait("!document.getElementById('go').disabled")
    browser.wait("!document.getElementById('result').hidden")
    assert "Sum_low" not in browser.run("document.getElementById('table').textContent")
    predict(browser, "Share", "abca")
    assert browser.run("document.getElementById('levels').hidden")


@pytest.mark.slow
def test_a_text_is_seen_while_it_is_written_and_stopped(browser, run, predictors, monkeypatch):
    """Pieces appear below the button; Stop ends the work."""
    import time

    from taglm_core.specs import Decoding

    task_model = predictors["Say"].task_model
    decoding = Decoding(max_new_tokens=200, min_new_tokens=200)
    monkeypatch.setattr(task_model, "decoding", decoding)
    owner = type(predictors["Say"])
    write = owner.write_rows

    def slowly(self, rows, watch):
        return write(self, rows, lambda row, text: time.sleep(0.01) is None and watch(row, text))

    monkeypatch.setattr(owner, "write_rows", slowly)
    address, _, _ = run()
    browser.open(address, 390)
    browser.wait("document.getElementById('form').hidden === false")
    browser.run(
        "document.getElementById('predictor').value = 'Say'; describe();"
        "document.getElementById('values').value = 'abca';"
        "document.getElementById('go').click()"
    )
    browser.wait("document.getElementById('live').innerText.length > 20")
    assert fits(browser)
    browser.run("document.getElementById('stop').click()")
    browser.wait("document.getElementById('state').innerText === 'Stopped.'")
    browser.wait("fetch('metrics').then((r) => r.text()).then((t) => t.includes('_rows 0.0'))")
