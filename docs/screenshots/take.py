"""Takes the README's pictures of the page with whatever model is being served. All lesions in them are drawn.

make serve                                                      # in another terminal
.venv/bin/python docs/screenshots/take.py http://127.0.0.1:8000
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from lightning_module.datasets.rendering import lesion_jpeg  # noqa: E402

PHONE = {"viewport": {"width": 390, "height": 1060}, "has_touch": True, "is_mobile": True, "device_scale_factor": 1.5}
DESK = {"viewport": {"width": 1280, "height": 860}}
PLACES = ("forearm", "upper back", "calf", "temple", "shoulder", "abdomen")


def lesions(url: str, look: str, label: str, count: int) -> list[FilePayload]:
    """Of drawn lesions of this look that the model labels so, those with the highest score."""
    found: list[tuple[float, FilePayload]] = []
    for seed in range(40):
        image = lesion_jpeg(look, seed, seed, (600, 450))
        answer = httpx.post(f"{url}/v1/predict", content=image, timeout=60).json()
        if answer.get("label") == label:
            file: FilePayload = {"name": "lesion.jpg", "mimeType": "image/jpeg", "buffer": image}
            found.append((answer["probability"], file))
    return [file for _, file in sorted(found, key=lambda scored: -scored[0])][:count]


def save(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, kmeans=3, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
    print(f"{name}.png: {(FOLDER / f'{name}.png').stat().st_size // 1000} kB")


def visit(browser: Browser, url: str, scheme: str, options: dict[str, object], files: list[FilePayload]) -> Page:
    page = browser.new_page(color_scheme=scheme, service_workers="block", **options)  # type: ignore[arg-type]
    page.goto(url)
    page.locator("#choose").set_input_files(files)
    return page


def main(url: str) -> None:
    suspicious = lesions(url, "mel", "malignant", 1) or lesions(url, "bcc", "malignant", 1)
    harmless = lesions(url, "nv", "benign", 4) or lesions(url, "nv", "malignant", 4)
    files = [{**file, "name": f"{place}.jpg"} for place, file in zip(PLACES, suspicious + harmless, strict=False)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        desk = visit(browser, url, "light", DESK, files[:1])
        desk.get_by_role("button", name="Show what raised the score").click()
        desk.locator(".heat").wait_for()
        save(desk, "result-desktop-light")
        phone = visit(browser, url, "dark", PHONE, files[:1])
        phone.locator(".numeral").wait_for()
        save(phone, "result-phone-dark")
        several = visit(browser, url, "light", DESK, files)
        several.get_by_role("link", name="Same patient: compare").click()
        several.locator(".ranked").first.wait_for()
        save(several, "compare-desktop-light")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8000")
