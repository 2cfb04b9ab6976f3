"""The page as a person meets it: opened from disk in Chromium, with mouse and keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfsuite.page.render import write_page
from tests.unit.page_records import bisection, gate, session

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HALF = "50%"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a session, its history, a gate and a bisection."""
    folder = tmp_path_factory.mktemp("records")
    for night in range(1, 5):
        session(folder, night, slower=1.2 if night == 4 else 1.0)
    gate(folder)
    bisection(folder)
    target = folder / "report.html"
    write_page(sorted(folder.rglob("2*.json")), target)
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


class Opened:
    """A page in a window, with what it asked the network for and what went wrong."""

    def __init__(self, browser: Any, file: Path, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *given: object) -> None:
        self.context.close()


def test_it_opens_from_disk_asks_for_nothing_and_draws_everything(
    browser: Any, page_file: Path
) -> None:
    opened = Opened(browser, page_file)
    with opened as page:
        asked = [url for url in opened.requests if not url.startswith("data:")]
        assert asked == [page_file.as_uri()]
        assert opened.errors == []
        drawn = page.locator("[data-chart]").evaluate_all(
            "charts => charts.map(c => [c.dataset.chart, c.getBoundingClientRect().height > 40])"
        )
        assert {name for name, _ in drawn} == {
            *(
                "ladder",
                "changes",
                "costs",
                "counts",
                "images",
                "trend",
                "blocks",
                "path",
                "stages",
            ),
        }
        assert all(is_tall for _, is_tall in drawn)
        assert page.locator("path.own").count() >= 4
        seen = page.locator(".compare .ref").first.evaluate(
            """async cell => {
              const image = new Image();
              image.src = getComputedStyle(cell).backgroundImage.slice(5, -2);
              await image.decode();
              return [image.naturalWidth, image.naturalHeight];
            }"""
        )
        assert seen == [32, 32]  # two by two cells of 16 pixels


def test_the_slider_moves_by_mouse_and_by_keyboard(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file) as page:
        compare = page.locator(".compare").first
        slider = compare.locator("input")

        def cut() -> str:
            return str(compare.evaluate("each => getComputedStyle(each).getPropertyValue('--cut')"))

        def shown() -> str:
            return str(compare.locator(".ref").evaluate("each => getComputedStyle(each).clipPath"))

        assert cut() == HALF
        before = shown()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert cut() == "51%"
        page.keyboard.press("Home")
        assert cut() == "0%"
        box = compare.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
        assert 70 < float(cut().rstrip("%")) < 90
        assert shown() != before


def test_another_image_is_chosen_with_its_scores(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file) as page:
        gallery = page.locator(".gallery").nth(1)
        worst = gallery.locator("p.scores").inner_text()
        assert "SSIM 0.9000" in worst
        assert gallery.locator("[aria-pressed=true]").count() == 1
        gallery.locator(".thumb").first.focus()
        page.keyboard.press("Enter")
        assert "SSIM 0.9990" in gallery.locator("p.scores").inner_text()
        assert gallery.locator(".thumb").first.get_attribute("aria-pressed") == "true"


def test_tooltips_say_the_unit_to_the_mouse_and_to_the_keyboard(
    browser: Any, page_file: Path
) -> None:
    with Opened(browser, page_file) as page:
        tip = page.locator("#tip")
        page.locator(".ladder .track").last.hover()
        assert "ms per call" in tip.inner_text()
        page.keyboard.press("Escape")
        assert tip.is_hidden()
        page.locator(".changes .plot").first.focus()
        page.keyboard.press("Tab")
        assert "samples" in tip.inner_text()
        assert "%" in tip.inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1280, "dark")])
def test_it_fits_and_no_rule_of_accessibility_is_broken(
    browser: Any, page_file: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with Opened(browser, page_file, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sticking_out = page.locator("main *").evaluate_all(
            """all => all.filter(each => !each.closest('.scroll, .sr, svg, .headings')
              && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)"""
        )
        assert sticking_out == []
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(int(part) for part in paper.strip("rgb()").split(",")) / 3
        assert (light > 200) is (scheme == "light")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_it_prints_on_light_paper_with_everything_unfolded(browser: Any, page_file: Path) -> None:
    with Opened(browser, page_file, scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator(".copy").first.is_hidden()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        assert len(page.pdf()) > 10_000
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0
