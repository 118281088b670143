"""The page in a real browser, on a real daemon that hears speech in real time."""

import json
import os
import shutil
import zipfile

import pytest

from edge_kws.pack import Pack
from edge_kws.service.page.expectation import expectation
from tests.service.browser_world import World

pytestmark = pytest.mark.slow
PATIENCE_S = 60
PICTURE = "document.querySelector('figure canvas').toDataURL()"
COLOURS = """(() => {
  const canvas = document.querySelector('figure canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
})()"""


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; skips, or fails in CI, where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        reason = "no chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory, root):
    """For tests that leave it as it was."""
    found = World(tmp_path_factory.mktemp("world"), root, clips=False)
    yield found
    found.stop()


@pytest.fixture
def own_world(tmp_path, root):
    """For tests that do not."""
    made = []

    def make(*, clips=False, page=""):
        made.append(World(tmp_path, root, clips=clips, page=page))
        return made[-1]

    yield make
    for found in made:
        found.stop()


class Looking:
    """Opens pages, and gathers what the browser complains of."""

    def __init__(self, browser):
        self._browser = browser
        self.contexts, self.complaints = [], []

    def __call__(self, world, *, fragment="", locked=False, **settings):
        context = self._browser.new_context(**{"viewport": {"width": 390, "height": 844}} | settings)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.goto(world.url + fragment)
        page.wait_for_selector("#login" if locked else "#events > li")
        return page


@pytest.fixture
def look(browser):
    """Opens pages; whatever the browser complains of fails the test."""
    looking = Looking(browser)
    yield looking
    for context in looking.contexts:
        context.close()
    assert looking.complaints == []


def until(page, expression):
    """Waits until the expression holds. Playwright's own way of waiting needs `eval`, which the page's policy forbids."""
    for _ in range(PATIENCE_S * 10):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never: {expression}")


def text_is(selector, text):
    return f"document.querySelector({json.dumps(selector)}).textContent.includes({json.dumps(text)})"


def test_what_is_heard_shows_and_plays_and_is_judged(world, look):
    page = look(world)
    assert page.locator("#retention").inner_text() == "Audio stays in memory"
    assert page.locator("#connection").inner_text() == "Live"
    meter = page.get_by_role("meter", name="Level of kitchen")
    until(page, "document.querySelector('.level .track').getAttribute('aria-valuenow') > -75")
    assert meter.get_attribute("aria-valuemin") == "-80"
    newest = page.locator("#events > li").first
    newest.get_by_role("button", name="Play").click()
    page.wait_for_selector("#events button:has-text('Stop')")
    page.get_by_role("button", name="False wake").first.click()
    page.wait_for_selector("#events button[aria-pressed='true']")
    page.reload()
    page.wait_for_selector("#events button[aria-pressed='true']")


def test_spectrogram_is_drawn_and_can_be_paused(world, look):
    page = look(world)
    until(page, f"{COLOURS} > 50")
    page.get_by_role("button", name="Pause").click()
    still = page.evaluate(PICTURE)
    page.wait_for_timeout(1000)
    assert page.evaluate(PICTURE) == still
    page.get_by_role("button", name="Pause").click()
    until(page, f"{PICTURE} !== {json.dumps(still)}")


def test_threshold_by_keyboard_says_what_it_costs_and_goes_back(world, look):
    own = next(span for span in expectation(Pack.load("marvin").info) if span.rate is not None)
    page = look(world)
    page.locator(".threshold summary").first.focus()
    page.keyboard.press("Enter")
    slider = page.get_by_role("slider", name="Threshold of marvin on kitchen")
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == f"{own.start:.3f}, false accepts: {own.text}"
    page.keyboard.press("End")
    until(page, text_is(".threshold output", "1.000"))
    assert "at most" in page.locator(".cost").first.inner_text()
    page.get_by_role("button", name=f"Back to {own.start:.3f}").click()
    until(page, text_is(".threshold output", f"{own.start:.3f}"))
    page.locator(".threshold summary").nth(1).click()
    assert "cannot tell" in page.locator(".cost").nth(1).inner_text()


def test_missed_is_noted_without_audio_while_retention_is_off(world, look):
    page = look(world)
    page.get_by_role("button", name="A word of commands was missed in kitchen").click()
    dialog = page.get_by_role("dialog", name="What was missed?")
    dialog.get_by_role("button", name="stop").click()
    page.wait_for_selector(".told")
    assert "retention is off" in page.locator(".told").inner_text()


def test_with_retention_the_page_says_so_and_files_clips(own_world, look):
    world = own_world(clips=True)
    page = look(world)
    page.wait_for_selector("#retention[data-state='warn']")
    assert page.locator("#retention").inner_text().startswith("Keeps clips")
    page.get_by_role("button", name="marvin was said just now in kitchen and not heard").click()
    page.wait_for_selector(".told")
    assert list((world.folder / "state" / "filed" / "marvin" / "marvin").glob("*.wav"))


def test_support_bundle_without_audio(world, look):
    page = look(world, accept_downloads=True)
    with page.expect_download() as found:
        page.get_by_role("link", name="Download").click()
    with zipfile.ZipFile(found.value.path()) as archive:
        assert not any(name.endswith(".wav") for name in archive.namelist())
        state = json.loads(archive.read("edge_kws-support/state.json"))
    assert state["inputs"][0]["name"] == "kitchen"


def test_service_gone_and_back_is_said_and_mended(own_world, look):
    world = own_world()
    page = look(world)
    world.stop()
    page.wait_for_selector("#connection[data-state='bad']")
    assert "what you see is old" in page.locator("#alarm").inner_text()
    world.start()
    page.wait_for_selector("#connection[data-state='good']")
    until(page, f"!{text_is('#alarm', 'No connection')}")
    look.complaints.clear()  # Chromium reports the requests that found nobody


def test_input_that_hears_nothing_is_an_alarm_not_a_still_picture(own_world, look):
    world = own_world()
    page = look(world)
    world.hush()
    until(page, text_is("#alarm", "kitchen is not heard"))
    assert page.locator("article > header .chip").inner_text() == "Away"
    assert "Not heard now" in page.locator("figure").inner_text()


def test_token_by_form_and_by_link(own_world, look):
    world = own_world(page='host = "0.0.0.0"')
    token = (world.folder / "state" / "page_token").read_text().strip()
    page = look(world, locked=True)
    page.get_by_label("Token").fill("guess")
    page.keyboard.press("Enter")
    until(page, text_is("#login-error", "that is not the token"))
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#events > li")
    assert page.evaluate("document.cookie") == ""
    page = look(world, fragment=f"#token={token}")
    assert page.url == world.url
    look.complaints.clear()  # Chromium reports each 401 and 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(world, look, scheme):
    """WCAG AA: 4.5 to 1 for every visible text."""
    page = look(world, color_scheme=scheme, reduced_motion="reduce")
    poor = page.evaluate(
        """() => {
          const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
          const rgb = (text) => { const found = text.match(/[0-9.]+/g).map(Number); return found.length === 3 ? [...found, 1] : found; };
          const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
          const ground = (e) => {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            return colour[3] > 0.99 || !e.parentElement ? colour : ground(e.parentElement);
          };
          const poor = [];
          for (const e of document.querySelectorAll('main *, header *, footer *')) {
            const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
            if (!own || !e.checkVisibility() || e.closest('figure, .unseen, svg, :disabled')) continue;
            const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
            if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([e.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)]);
          }
          return poor;
        }"""
    )
    assert poor == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_cut_off_and_thumbs_fit(world, look, width):
    page = look(world, viewport={"width": width, "height": 800}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, a.button, summary, input:not([type=checkbox])')].filter((e) => e.checkVisibility())
          .map((e) => [e.textContent, e.getBoundingClientRect().height]).filter(([, height]) => height < 31.9)"""
    )
    assert small == []


def test_every_control_has_a_name_and_tab_reaches_it(world, look):
    page = look(world)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, summary, canvas, [role=meter]')].filter((e) => e.checkVisibility())
          .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
    assert "Skip to the inputs" in seen
    assert len(seen) > 7
