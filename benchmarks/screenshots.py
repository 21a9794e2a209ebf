"""Pictures of pages for the documentation, as a browser here shows them.

    python benchmarks/screenshots.py model/report.html --out docs/pictures/report_hymenoptera

Writes ``OUT_1280.png`` (light) and ``OUT_390.png`` (dark), the upper part at half size, in 256
colours. Needs playwright and an installed chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SIZES = ((1280, 3600, "light"), (390, 2600, "dark"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for width, height, scheme in SIZES:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(given.page.resolve().as_uri())
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            shot = shot.crop((0, 0, width, min(height, shot.height)))
            half = 2 if width > 600 else 1
            small = shot.resize((width // half, shot.height // half), Image.Resampling.LANCZOS)
            target = given.out.with_name(f"{given.out.name}_{width}.png")
            small.quantize(256, kmeans=2).save(target, optimize=True)
            print(f"{target}: {target.stat().st_size} bytes")
        browser.close()


if __name__ == "__main__":
    main()
