"""The picture of the page in docs/service.md: a desktop in light and a phone in dark, of a daemon that hears the demo's speech.

Needs Chromium. Run: .venv/bin/python benchmarks/page_picture.py
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.service.browser_world import World  # noqa: E402

LISTEN_S = 32
BYTES = 200_000


def main() -> None:
    program = shutil.which("chromium")
    if program is None:
        print("page_picture: no chromium: the picture stays as it is")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        world = World(Path(folder), ROOT, clips=False)
        try:
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            desktop = shot(browser, world.url, "light", 1280, 860)
            phone = shot(browser, world.url, "dark", 390, 800)
            browser.close()
        finally:
            world.stop()
    picture = Image.new("RGB", (1280 + 40 + phone.width, 860), "#d8d4cb")
    picture.paste(desktop, (0, 0))
    picture.paste(phone, (1300, 30))
    target = ROOT / "docs" / "page.png"
    picture.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target.name}: {picture.width} x {picture.height}, {size / 1000:.0f} kB")
    if size > BYTES:
        sys.exit(f"page_picture: expected at most {BYTES} bytes, found {size}")


def shot(browser: Browser, url: str, scheme: str, width: int, height: int) -> Image.Image:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light")
    page.goto(url)
    page.wait_for_selector("#events > li")
    page.wait_for_timeout(1000 * LISTEN_S)
    page.locator(".threshold summary").first.click()
    page.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    return picture


if __name__ == "__main__":
    main()
