"""A real Chromium, driven by its own driver, with an empty profile: what it shows, and what it complains of."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "Chromium is not installed: Debian's packages are chromium and chromium-driver"
#: What axe-core is, where npm has put it. https://github.com/dequelabs/axe-core
AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESKTOP, PHONE = (1360, 850), (360, 740)
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
#: Seconds that a slow machine may take for anything.
PATIENCE = 40.0


class Browser:
    """One Chromium at a gateway's pages. Close it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        options = Options()
        options.binary_location = CHROMIUM or ""
        for one in (*ARGUMENTS, f"--user-data-dir={self._profile}"):
            options.add_argument(one)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.look(DESKTOP)

    def close(self) -> None:
        """End it, and remove its profile."""
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    # --- how it looks ---

    def look(self, size: tuple[int, int], *, dark: bool = False) -> None:
        """Be a device of this size, whose owner likes it dark, or light."""
        width, height = size
        phone = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    # --- going somewhere ---

    def open(self, path: str = "") -> None:
        """Open the pages anew at an address of theirs."""
        self.driver.get(f"{self.url}/ui/{path and f'#/{path}'}")
        self.settled()

    def go(self, path: str) -> None:
        """Go to a page as a link would."""
        self.run("if (location.hash === arguments[0]) dispatchEvent(new HashChangeEvent('hashchange')); "
                 "else location.hash = arguments[0]", f"#/{path}")  # fmt: skip
        self.settled()

    def sign_in(self, key: str) -> None:
        """Sign in with a key."""
        self.one("#sign-key").send_keys(key)
        self.press("\n")
        self.until(lambda: self.all(".frame"))
        self.settled()

    def settled(self) -> None:
        """Wait until a page is there and waits for nothing."""
        self.until(lambda: self.run(
            "return document.readyState === 'complete' && document.querySelector('#main h1, #main[class=boot] button') "
            "!== null && document.querySelector('[aria-busy]') === null"
        ))  # fmt: skip

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until something holds, and return it."""
        end = time.monotonic() + PATIENCE
        while True:
            found = holds()
            if found:
                return found
            assert time.monotonic() < end, f"waited in vain at {self.driver.current_url}: {self.text()[:1500]}"
            time.sleep(0.03)

    # --- what is there ---

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements that a selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """Wait for an element that can be seen."""
        found: WebElement = self.until(lambda: next((e for e in self.all(selector) if e.is_displayed()), None))
        return found

    def button(self, words: str, within: str = "body") -> WebElement:
        """Wait for a button or a link by its words."""
        script = (
            "return [...document.querySelectorAll(arguments[1] + ' :is(button, a)')].find((one) => "
            "(one.textContent.trim() === arguments[0] || one.getAttribute('aria-label') === arguments[0]) "
            "&& one.checkVisibility())"
        )
        found: WebElement = self.until(lambda: self.run(script, words, within))
        return found

    def text(self, selector: str = "body") -> str:
        """Return the text that can be read."""
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return str(found)

    def says(self, words: str, selector: str = "body") -> None:
        """Wait until something is to be read."""
        self.until(lambda: words in self.text(selector))

    def focused(self) -> str:
        """Return what the element with the focus is called."""
        return str(self.run(
            "const one = document.activeElement; return one.getAttribute('aria-label') "
            "?? one.labels?.[0]?.textContent ?? one.textContent.trim()"
        ))  # fmt: skip

    # --- doing something ---

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        chain = ActionChains(self.driver, duration=0)
        for one in keys:
            chain.send_keys(one)
        chain.perform()

    def write(self, selector: str, text: str) -> None:
        """Put a text into a field, in place of what is there."""
        field = self.one(selector)
        self.run("arguments[0].focus(); arguments[0].select?.()", field)
        self.press(text)

    def choose(self, selector: str, value: str) -> None:
        """Take one of a choice."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
        self.run(script, self.one(selector), value)

    # --- what is wrong ---

    def complaints(self) -> list[str]:
        """Return what the console has had to say since it was last asked, but for the answer "not signed in"."""
        told = [(line["level"], line["message"]) for line in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return [text for level, text in told if level in ("SEVERE", "WARNING") and "/auth/session - " not in text]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def barriers(self) -> list[str]:
        """Return what axe-core finds that shuts people out."""
        if not self.run("return typeof axe === 'object'"):
            self.run(AXE.read_text(encoding="utf-8"))
        options = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
        script = f"const done = arguments[0]; axe.run(document, {options}).then((found) => done(found.violations))"
        found = self.driver.execute_async_script(script)
        return [f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]
