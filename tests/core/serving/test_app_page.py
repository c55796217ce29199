"""The page in a real browser: what people do with it, by mouse, by keyboard, on a phone."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import mtvit_core
from support.commands.serve_cases import running, served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no Chromium with chromedriver is installed (Debian: apt-get install chromium chromium-driver)",
)
SIZE = (200, 100)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser without a window, with a camera that shows a test picture."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "headless=new",
        "no-sandbox",
        "window-size=1300,900",
        "use-fake-device-for-media-stream",
        "use-fake-ui-for-media-stream",
    ):
        options.add_argument(f"--{argument}")
    downloads = str(tmp_path_factory.mktemp("downloads"))
    options.add_experimental_option("prefs", {"download.default_directory": downloads})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    browser.downloads = Path(downloads)
    yield browser
    browser.quit()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image to open."""
    Image.new("RGB", SIZE, "black").save(tmp_path / "it's a photo.png")
    return tmp_path / "it's a photo.png"


@pytest.fixture
def page(show, chromium, tmp_path) -> Iterator["Page"]:
    """The page of a server whose model finds known things; nothing may be wrong in the browser's console."""
    mtvit_core.save(show, tmp_path / "model.safetensors")
    with running(served(show, tmp_path / "model.safetensors")) as url:
        chromium.set_window_size(1300, 900)
        chromium.get(url)
        yield Page(chromium, url)
        assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


class Page:
    """What can be done on the page."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser, self.url = browser, url
        self.wait = WebDriverWait(browser, 60, 0.05)
        self.wait.until(lambda _: "show" in self["model"].text)

    def __getitem__(self, id_: str):
        return self.browser.find_element(By.ID, id_)

    def open(self, path: Path) -> None:
        self["file"].send_keys(str(path))
        self.wait.until(lambda _: path.name in self["picture"].get_attribute("aria-label"))

    def objects(self) -> list[str]:
        rows = "[...document.querySelectorAll('#objects li')].map((row) => row.innerText)"
        return [row.replace("\n", " ") for row in self.browser.execute_script(f"return {rows}")]

    def pixel(self, x: float, y: float) -> tuple[int, ...]:
        """Colour of the picture at shares of its width and height."""
        script = (
            "const c = document.getElementById('picture'), [x, y] = arguments;"
            "return [...c.getContext('2d').getImageData(c.width * x, c.height * y, 1, 1).data]"
        )
        return tuple(self.browser.execute_script(script, x, y))[:3]

    def layer(self, value: str):
        return self.browser.find_element(By.CSS_SELECTOR, f"#layers input[value='{value}']")

    def asked(self) -> list[str]:
        """Addresses that the browser has asked since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def test_what_is_shown_changes_without_a_new_request(page, photo):
    page.open(photo)
    assert page.objects() == ["person show 0.90", "cup show 0.50"]
    assert [label.text for label in page.browser.find_elements(By.CSS_SELECTOR, "#labels li")] == [
        "person 0.80"
    ]
    assert page["facts"].text.startswith("Image\n200 \u00d7 100")
    inside = page.pixel(0.75, 0.65)  # of the cup's mask
    assert inside != (0, 0, 0)
    page.asked()

    page.layer("masks").click()
    assert page.pixel(0.75, 0.65) == (0, 0, 0)
    page.layer("map:show").click()
    assert page.pixel(0.98, 0.05)[0] > 150  # the far end of the map is bright
    page.layer("map:show").click()
    edge = page.pixel(0.25, 0.1)
    page.layer("boxes").click()
    page.layer("names").click()
    assert (edge, page.pixel(0.75, 0.5)) != ((0, 0, 0), edge)
    for _ in range(30):
        page["score"].send_keys(Keys.ARROW_RIGHT)
    assert page["score-value"].text == "0.60"
    assert page.objects() == ["person show 0.90"]
    for _ in range(45):
        page["score"].send_keys(Keys.ARROW_LEFT)
    assert len(page.objects()) == 3
    page.browser.find_element(By.CSS_SELECTOR, "#classes input[value='person']").click()
    assert page.objects() == ["cup show 0.50"]
    assert page["status"].text == "1 of 3 objects"
    assert page.asked() == []


def test_nothing_is_loaded_from_elsewhere(page, photo):
    page.open(photo)
    page["sample"].click()
    page.wait.until(lambda _: "sample.jpg" in page["picture"].get_attribute("aria-label"))
    asked = page.asked()
    assert f"{page.url}/page/main.js" in asked
    assert [url for url in asked if not url.startswith((page.url, "data:", "blob:"))] == []


def test_the_lines_give_what_is_shown(page, photo, monkeypatch):
    page.open(photo)
    page.browser.find_element(By.CSS_SELECTOR, "#classes input[value='cup']").click()
    assert page["curl"].text == (
        "curl --data-binary '@it'\\''s a photo.png' \\\n"
        f"  '{page.url}/predict?min_score=0.3&category=person&maps=false'"
    )
    monkeypatch.chdir(photo.parent)
    names: dict[str, object] = {}
    exec(page["python"].text, names)
    assert names["found"].names == ("person",)


def test_downloads_hold_what_is_shown(page, photo, show):
    page.open(photo)
    page["json"].click()
    page["coco"].click()
    page.wait.until(lambda _: len(list(page.browser.downloads.glob("*.json"))) == 2)
    told = json.loads((page.browser.downloads / "it's a photo.json").read_text())
    coco = json.loads((page.browser.downloads / "it's a photo.coco.json").read_text())
    (found,) = show.predict([photo], min_score=0.3)
    assert coco == json.loads(json.dumps(found.to_coco()))
    assert [entry["category"] for entry in told["objects"]] == ["person", "cup"]


def test_images_are_dropped_and_pasted(page, photo):
    data = base64.b64encode(photo.read_bytes()).decode()
    script = """
        const [data, name, kind] = arguments;
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, { type: 'image/png' }));
        document.getElementById('frame').dispatchEvent(kind === 'drop'
          ? new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer })
          : new ClipboardEvent('paste', { bubbles: true, clipboardData: transfer }));
    """
    for kind in ("drop", "paste"):
        page.browser.execute_script(script, data, f"{kind}.png", kind)
        page.wait.until(lambda _, kind=kind: f"{kind}.png" in page["picture"].get_attribute("aria-label"))
        assert len(page.objects()) == 2


def test_the_camera_goes_on_until_it_is_frozen(page):
    page["camera"].click()
    page.wait.until(lambda _: "a second" in page["facts"].text)
    assert page["camera"].get_attribute("aria-pressed") == "true"
    page["camera"].click()
    assert page["camera"].text == "Camera"
    page.wait.until(lambda _: page["status"].text == "2 of 3 objects")
    assert page.objects() == ["person show 0.90", "cup show 0.50"]
    assert page["curl"].text.startswith("curl --data-binary '@camera.jpg'")


def test_a_file_that_is_no_image_is_told_and_the_page_goes_on(page, photo, tmp_path):
    (tmp_path / "no.png").write_text("no image")
    page["file"].send_keys(str(tmp_path / "no.png"))
    page.wait.until(lambda _: page["error"].is_displayed())
    assert page["error"].text.startswith("image: not an image in a known format")
    page.browser.get_log("browser")  # it notes the 422 by itself
    page.open(photo)
    assert not page["error"].is_displayed()


def test_everything_is_reached_by_the_keyboard(page):
    body = page.browser.find_element(By.TAG_NAME, "body")
    body.send_keys("s")
    page.wait.until(lambda _: "sample.jpg" in page["picture"].get_attribute("aria-label"))
    reached = []
    for _ in range(40):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.browser.switch_to.active_element
        reached.append(
            focused.get_attribute("id") or focused.get_attribute("value") or focused.text.split("\n")[0]
        )
        if focused.text.startswith("person"):
            focused.send_keys(Keys.ENTER)
            assert page.browser.switch_to.active_element.get_attribute("aria-pressed") == "true"
            body.send_keys(Keys.ESCAPE)
    panel = {"score", "boxes", "skeletons", "opacity", "colours", "cup", "person"}
    assert {"open", "sample", "camera", "json", "coco", "png", "curl", "python"} | panel <= set(reached)


def test_names_for_those_who_do_not_see_it(page, photo):
    page.open(photo)
    nameless = page.browser.execute_script("""
        const all = 'button, input:not([hidden]), select, canvas, fieldset';
        return [...document.querySelectorAll(all)].filter((e) =>
          e.offsetParent !== null && !(e.getAttribute('aria-label') || e.textContent.trim()
            || [...(e.labels || [])].some((label) => label.textContent.trim()))).map((e) => e.outerHTML);
    """)
    assert nameless == []
    assert page["picture"].get_attribute("aria-label") == "it's a photo.png: 2 of 3 objects shown"


@pytest.mark.parametrize("width", [360, 700])
def test_a_narrow_screen_needs_no_scrolling_sideways(page, photo, width):
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        page.open(photo)
        widest, canvas = page.browser.execute_script(
            "return [document.documentElement.scrollWidth, document.getElementById('picture').clientWidth]"
        )
        assert widest <= width
        assert width - 60 <= canvas <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_where_the_system_is(page):
    grounds = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        colour = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        grounds.append(int(colour.split("(")[1].split(",")[0]))
    assert grounds[0] > 200 > 60 > grounds[1]


def test_a_token_is_asked_for(show, chromium, photo):
    with running(served(show), token="letmein") as url:
        chromium.get(url)
        wait = WebDriverWait(chromium, 60, 0.05)
        field = chromium.find_element(By.ID, "token")
        wait.until(lambda _: field.is_displayed())
        field.send_keys("wrong" + Keys.ENTER)
        wait.until(lambda _: "not this server's" in chromium.find_element(By.ID, "error").text)
        field.clear()
        field.send_keys("letmein" + Keys.ENTER)
        page = Page(chromium, url)
        chromium.get_log("browser")  # it notes each 401 by itself
        page.open(photo)
        assert page["curl"].text.startswith(
            'curl -H "Authorization: Bearer $MTVIT_SERVE_TOKEN" --data-binary'
        )
        chromium.execute_script("sessionStorage.clear()")
