"""The admin pages in a real Chromium, before a real gateway with a month of requests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytest.importorskip("selenium", reason="selenium drives the browser: it is in the workspace's dev group")

from selenium.webdriver.common.keys import Keys
from signing_on import CLIENT, SECRET, Provider

from . import seeds
from .browser import AXE, CHROMIUM, DESKTOP, DRIVER, MISSING, PHONE, Browser
from .conftest import KEY, Gateway, Upstream

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)

VARIANTS = [
    pytest.param(size, dark, id=f"{name}-{'dark' if dark else 'light'}")
    for name, size in (("desktop", DESKTOP), ("phone", PHONE))
    for dark in (False, True)
]
#: Address -> what must be there to read.
PAGES = {
    "overview": "Spend by model",
    "overview?range=30d": "Top teams",
    "requests": "claude-sonnet-4",
    "requests/{request}": "What happened",
    "keys": "search-api",
    "keys/{key}": "Spend by day",
    "teams": "Data science",
    "teams/{team}": "Members",
    "users": "Grace Hopper",
    "users/{user}": "grace@example.com",
    "projects": "Autumn launch",
    "customers": "Acme Corporation",
    "customers/acme": "Acme Corporation",
    "budgets": "Shared budgets",
    "budgets/trial": "Budget",
    "models": "gpt-4o-mini-east",
    "audit": "Made",
    "settings": "What runs",
    "playground": "Nothing said yet",
    "nowhere": "There is no such page",
}


class Site:
    """A gateway with a month behind it, and who is in its database."""

    def __init__(self, gateway: Gateway, config: Path, made: dict[str, Any]) -> None:
        self.url, self.config, self.made = gateway.url, config, made
        self._client = httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)

    def ask(self, path: str, **values: Any) -> Any:
        """Read as the master key."""
        return self._client.get(path, params=values).raise_for_status().json()

    def key(self, alias: str) -> Any:
        """Return a key by its alias, or None."""
        return next((one for one in self.ask("/key/list", limit=1000)["keys"] if one["key_alias"] == alias), None)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def config_of(upstream: Upstream, folder: Any) -> dict[str, Any]:
    """Return the configuration of a gateway with two deployments of each model."""
    params = {"api_base": upstream.url, "api_key": "sk-upstream-secret", "rpm": 500}
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", **params},
            "model_info": {"id": f"{name}-{side}"},
        }
        for name in seeds.MODELS
        for side in ("east", "west")
    ]
    general = {"master_key": KEY, "data_dir": str(folder)}
    return {"model_list": models, "general_settings": general, "router_settings": {"num_retries": 0}}


@pytest.fixture(scope="module")
def site(upstream: Upstream, start: Callable[..., Gateway], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that has been used for a month."""
    folder = tmp_path_factory.mktemp("data")
    made = seeds.month(folder, requests=2500)
    path = folder / "config.yaml"
    config = config_of(upstream, folder)
    config["general_settings"]["global_limits"] = {"max_budget": 5000, "budget_duration": "1mo", "rpm_limit": 6000}
    config["general_settings"]["tag_budgets"] = {"production": {"max_budget": 900}}
    budgets = {"openai": {"budget_limit": 2000, "time_period": "1mo"}, "groq": {"budget_limit": 300}}
    config["router_settings"]["provider_budget_config"] = budgets
    config["model_list"][0]["litellm_params"] |= {"max_budget": 500, "budget_duration": "1w"}
    path.write_text(yaml.safe_dump(config))
    found = Site(start(path), path, made)
    yield found
    found.close()


@pytest.fixture(scope="module")
def chromium(site: Site) -> Iterator[Browser]:
    """A browser in which the master key has signed in."""
    browser = Browser(site.url)
    try:
        browser.open()
        browser.sign_in(KEY)
        yield browser
    finally:
        browser.close()


@pytest.fixture
def pages(chromium: Browser) -> Iterator[Browser]:
    """The browser as it was, and afterwards without complaints."""
    chromium.look(DESKTOP)
    chromium.complaints()
    yield chromium
    chromium.run("document.querySelectorAll('dialog').forEach((box) => box.close())")


def address(site: Site, page: str) -> str:
    """Put ids that are there into an address."""
    if "{" not in page:
        return page
    made = site.made
    request = next(one for one in site.ask("/spend/logs", limit=500)["results"] if one["failures"] and one["usage"])
    return page.format(
        request=request["id"], key=made["keys"][0]["key_id"], team=made["teams"][0]["team_id"],
        user=made["users"][1]["user_id"],
    )  # fmt: skip


# --- every page ---


@pytest.mark.parametrize(("size", "dark"), VARIANTS)
@pytest.mark.parametrize("page", PAGES)
def test_every_page(pages: Browser, site: Site, page: str, size: tuple[int, int], dark: bool) -> None:
    """It is there, fits the window, has one main heading, which has the focus, and shuts nobody out (WCAG 2.2 AA).

    The console has nothing to say. Without axe-core, names, roles and contrast are not looked at.
    """
    pages.look(size, dark=dark)
    pages.go(address(site, page))
    pages.says(PAGES[page], "#main")
    assert pages.overflow() <= 0
    assert len(pages.all("h1")) == 1
    assert pages.run("return document.activeElement.tagName") == "H1"
    assert not pages.all(".trouble")
    assert not AXE.exists() or pages.barriers() == []
    assert pages.complaints() == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install --no-save axe-core")
@pytest.mark.parametrize(("size", "dark"), VARIANTS)
def test_nobody_is_shut_out_of_dialogs(pages: Browser, site: Site, size: tuple[int, int], dark: bool) -> None:
    """The form of a key, with all that is folded in, and the question whether to delete one."""
    pages.look(size, dark=dark)
    pages.go("keys")
    pages.button("Make a key").click()
    pages.one("dialog[open]")
    pages.run("document.querySelectorAll('dialog details').forEach((one) => { one.open = true; })")
    assert pages.barriers() == []
    assert pages.overflow() <= 0
    pages.press(Keys.ESCAPE)
    pages.go(f"keys/{site.made['keys'][0]['key_id']}")
    pages.button("Delete").click()
    pages.one("dialog[open]")
    assert pages.barriers() == []
    pages.press(Keys.ESCAPE)


def test_the_policy_holds_in_the_browser(pages: Browser) -> None:
    """Even if somebody got markup in: no script runs, no handler in an attribute; nothing comes from afar."""
    pages.go("overview")
    tried = """
        const made = (tag) => document.body.appendChild(document.createElement(tag));
        const tries = [
            () => { made('script').append('document.owned = 1') },
            () => { made('a').setAttribute('onclick', 'document.owned = 2') },
            () => { document.body.insertAdjacentHTML('beforeend', '<i>markup</i>') },
            () => { made('img').src = 'http://127.0.0.1:9/far.png' },
        ];
        return tries.map((attempt) => { try { attempt(); return 'done' } catch (error) { return error.name } })
    """
    assert pages.run(tried) == ["done", "TypeError", "TypeError", "done"]
    assert pages.run("return document.owned ?? null") is None
    told: list[str] = []
    pages.until(lambda: told.extend(pages.complaints()) or any("img-src" in text for text in told))
    assert sum("TrustedScript" in text for text in told) >= 2
    pages.open("overview")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_jumps(pages: Browser, size: tuple[int, int]) -> None:
    """While a page is fetched and drawn, what is already there stays where it is. https://web.dev/articles/cls"""
    pages.look(size)
    pages.go("teams")
    watch = "new PerformanceObserver((list) => list.getEntries().forEach((one) => { document.moved += one.value }))"
    pages.run(f"document.moved = 0; {watch}.observe({{type: 'layout-shift'}})")
    for page in ("overview", "keys", "requests", "budgets", "models", "playground", "overview"):
        pages.go(page)
        pages.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert pages.run("return document.moved") < 0.1


# --- signing in and out ---


def test_signing_in_and_out(site: Site) -> None:
    """A wrong key is told in words; the right one opens what was asked for; no script can read what is kept."""
    browser = Browser(site.url)
    try:
        browser.open("teams")
        browser.one("#sign-key").send_keys("sk-wrong")
        browser.press("\n")
        browser.says("That did not work", "[role=alert]")
        assert browser.focused() == "Key"
        browser.run("document.querySelector('#sign-key').value = ''")
        browser.sign_in(KEY)
        browser.says("Data science", "#main")
        kept = "return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"
        assert browser.run(kept) == "{}{}"
        cookie = next(one for one in browser.driver.get_cookies() if one["httpOnly"])
        assert cookie["sameSite"] in ("Strict", "Lax")
        browser.button("Sign out").click()
        browser.one("#sign-key")
        browser.open("teams")
        browser.one("#sign-key")
    finally:
        browser.close()


def test_a_session_that_is_over_leads_to_signing_in(site: Site) -> None:
    """It says so; after signing in, the page is there again."""
    browser = Browser(site.url)
    try:
        browser.open("keys")
        browser.sign_in(KEY)
        browser.driver.delete_all_cookies()
        browser.run("location.hash = '#/users'")
        browser.says("Your session is over", "#alerts")
        browser.sign_in(KEY)
        browser.says("Grace Hopper", "#main")
    finally:
        browser.close()


def test_what_is_shown_depends_on_the_role(site: Site) -> None:
    """A viewer sees everything and is offered no change; a member makes keys of its own; a plain key sees itself."""
    made = httpx.post(f"{site.url}/key/generate", headers={"authorization": f"Bearer {KEY}"}, timeout=60,
                      json={"key_alias": "watcher", "role": "viewer"}).json()  # fmt: skip
    browser = Browser(site.url)
    try:
        browser.open("keys")
        browser.sign_in(made["key"])
        browser.says("search-api", "#main")
        assert "Make a key" not in browser.text()
        assert "Playground" not in browser.text(".nav")
        assert "Audit log" in browser.text(".nav")
        browser.button("Sign out").click()
        user = site.made["users"][2]["user_id"]
        member = httpx.post(f"{site.url}/key/generate", headers={"authorization": f"Bearer {KEY}"}, timeout=60,
                            json={"key_alias": "own", "role": "member", "user_id": user}).json()  # fmt: skip
        browser.one("#sign-key")
        browser.sign_in(member["key"])
        browser.go("keys")
        browser.button("Make a key")
        browser.says("own", "#main")
        assert "mobile-api" not in browser.text("#main")
        assert "Audit log" not in browser.text(".nav")
        for page in ("overview", "requests", "teams", "budgets", "playground"):
            browser.go(page)
            assert not browser.all(".trouble"), page
        browser.button("Sign out").click()
        plain = httpx.post(f"{site.url}/key/generate", headers={"authorization": f"Bearer {KEY}"}, timeout=60,
                           json={"key_alias": "plain"}).json()  # fmt: skip
        browser.one("#sign-key")
        browser.sign_in(plain["key"])
        for page in ("overview", "keys", "budgets", "playground", "requests"):
            browser.go(page)
            assert not browser.all(".trouble"), page
        assert "Make a key" not in browser.text()
    finally:
        browser.close()


def test_people_sign_in_at_their_provider(
    upstream: Upstream, start: Callable[..., Gateway], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By a button with its name; they come back to the page that they wanted, and may do what their role says."""
    provider = Provider()
    folder = tmp_path_factory.mktemp("sso")
    config = config_of(upstream, folder)
    config["general_settings"]["sso"] = [
        {"id": "company", "title": "Company", "issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET,
         "teams_claim": "groups", "create_teams": True}
    ]  # fmt: skip
    provider.claims["groups"] = ["blue", "red"]
    browser = Browser(start(config).url)
    try:
        browser.open("keys")
        browser.button("Continue with Company").click()
        browser.says("Anna", ".who")
        browser.settled()
        assert "#/keys" in browser.driver.current_url
        browser.says("Member", ".who")
        browser.button("Make a key").click()
        browser.write("dialog [id^=key_alias]", "by-anna")
        browser.press(Keys.ENTER)
        browser.says("It is shown this once", "dialog")
        browser.button("Done", "dialog").click()
        browser.go("playground")
        browser.choose("#play-team", "red")
        browser.write("#play-question", "Hello?")
        browser.press(Keys.ENTER)
        browser.button("Its story", ".turn.assistant .meta").click()
        browser.settled()
        assert "red" in browser.text("#main")
        assert browser.complaints() == []
    finally:
        browser.close()
        provider.close()


def test_signing_in_at_a_directory(site: Site) -> None:
    """Each has a form of its own; what the gateway says of it is told there."""
    browser = Browser(site.url)
    try:
        browser.open()
        browser.driver.execute_async_script("""
            const done = arguments[0];
            const providers = ['north', 'south'].map((id) => ({ id, kind: 'ldap', title: id }));
            import(new URL('pages/signin.js', document.baseURI)).then(({ render }) => {
                document.getElementById('app').replaceChildren(render({ providers, entered() {} }));
                done();
            });
        """)
        assert not AXE.exists() or browser.barriers() == []
        browser.write("#sign-username-south", "anna")
        browser.write("#sign-password-south", "wrong")
        browser.press(Keys.ENTER)
        browser.says("sign in with a key", "form[aria-label='Sign in with south'] [role=alert]")
        assert browser.text("form[aria-label='Sign in with north'] [role=alert]") == ""
    finally:
        browser.close()


# --- keys ---


def test_a_key_is_made_by_keyboard_alone(pages: Browser, site: Site, well: Upstream) -> None:
    """From the menu to the key's text; the focus stays in the dialog, and goes back to what opened it."""
    pages.go("overview")
    pages.run("document.activeElement.blur()")
    for _ in range(40):
        pages.press(Keys.TAB)
        if pages.focused() == "Keys":
            break
    assert pages.focused() == "Keys"
    pages.press(Keys.ENTER)
    pages.until(
        lambda: (
            pages.run("return document.activeElement.tagName === 'H1' && document.activeElement.textContent") == "Keys"
        )
    )
    pages.press(Keys.TAB)
    assert pages.focused() == "Make a key"
    ring = pages.run("return getComputedStyle(document.activeElement).outlineWidth")
    assert ring == "2px"

    pages.press(Keys.ENTER)
    pages.until(lambda: pages.focused() == "Name")
    for _ in range(30):
        pages.press(Keys.TAB)
        assert pages.run("const a = document.activeElement; return a === document.body || a.closest('dialog') !== null")
    pages.press(Keys.ESCAPE)
    pages.until(lambda: not pages.all("dialog[open]"))
    assert pages.focused() == "Make a key"

    pages.press(Keys.ENTER)
    pages.until(lambda: pages.focused() == "Name")
    pages.press("by-keyboard")
    for _ in range(12):
        pages.press(Keys.TAB)
        if pages.focused() == "Budget":
            break
    pages.press("2.50", Keys.ENTER)
    pages.says("It is shown this once", "dialog")
    text = pages.text("#new-key")
    assert text.startswith("sk-")
    pages.press(Keys.ESCAPE)
    pages.says("by-keyboard", "#main")
    assert text not in pages.run("return document.documentElement.outerHTML")
    assert site.key("by-keyboard")["max_budget"] == 2.5
    reply = httpx.post(f"{site.url}/v1/chat/completions", headers={"authorization": f"Bearer {text}"}, timeout=60,
                       json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]})  # fmt: skip
    assert reply.status_code == 200
    assert pages.complaints() == []


def test_a_key_is_changed_renewed_blocked_and_deleted(pages: Browser, site: Site) -> None:
    """Each change reaches the gateway; what cannot be undone is asked about first."""
    made = httpx.post(f"{site.url}/key/generate", headers={"authorization": f"Bearer {KEY}"}, timeout=60,
                      json={"key_alias": "to-change", "tags": ["old"], "rpm_limit": 5}).json()  # fmt: skip
    pages.go(f"keys/{made['key_id']}")
    pages.button("Change").click()
    pages.write("dialog [id^=key_alias]", "changed")
    pages.run("document.querySelectorAll('dialog details').forEach((one) => { one.open = true; })")
    pages.write("dialog [id^=rpm_limit]", Keys.BACKSPACE)
    pages.write("dialog [id^=tpm_limit]", "9000")
    pages.button("Remove old", "dialog").click()
    pages.run("document.querySelector('dialog [id^=tags]').focus()")
    pages.press("production", Keys.ENTER, "europe", ",")
    pages.button("Save", "dialog").click()
    pages.says("Saved", "#notices")
    found = site.key("changed")
    assert (found["rpm_limit"], found["tpm_limit"], found["tags"]) == (None, 9000, ["production", "europe"])

    pages.until(lambda: pages.text("h1").startswith("changed"))
    pages.button("New text").click()
    pages.button("Make a new text", "dialog").click()
    pages.says("Copy it now", "dialog")
    fresh = pages.text("#new-key")
    pages.button("Done", "dialog").click()
    assert fresh.startswith("sk-")
    assert _status(site, made["key"]) == 401
    assert _status(site, fresh) == 200

    pages.button("Block").click()
    pages.button("Block", "dialog").click()
    pages.says("Blocked", "h1")
    assert _status(site, fresh) == 403
    pages.button("Let in again").click()
    pages.says("Active", "h1")

    pages.button("Delete").click()
    pages.button("Delete", "dialog").click()
    pages.says("Type changed to confirm", "dialog [role=alert]")
    pages.write("dialog input", "changed")
    pages.button("Delete", "dialog").click()
    pages.until(lambda: pages.run("return location.hash") == "#/keys")
    assert site.key("changed") is None
    assert pages.complaints() == []


def _status(site: Site, key: str) -> int:
    return httpx.get(f"{site.url}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=60).status_code


def test_what_cannot_be_is_said_beside_the_field(pages: Browser) -> None:
    """By the page where it can know, else by the gateway; what was typed stays."""
    pages.go("keys")
    pages.button("Make a key").click()
    pages.write("dialog [id^=max_budget]", "much")
    pages.button("Make a key", "dialog").click()
    pages.says("Write a number of 0 or more", "dialog")
    assert pages.run("return document.activeElement.getAttribute('aria-invalid')") == "true"
    pages.write("dialog [id^=max_budget]", "5")
    pages.run("document.querySelectorAll('dialog details').forEach((one) => { one.open = true; })")
    pages.write("dialog [id^=allowed_ips]", "not-an-address")
    pages.button("Make a key", "dialog").click()
    pages.says("IP addresses or networks", "dialog [role=alert]")
    assert pages.run("return document.querySelector('dialog [id^=max_budget]').value") == "5"


def test_what_strangers_named_stays_text(pages: Browser, site: Site) -> None:
    """A key whose name is a script is shown by that name, everywhere, and nothing runs."""
    key = site.made["keys"][-1]["key_id"]
    for page in ("keys", f"keys/{key}", "overview?range=30d", "requests?span=2592000", "audit"):
        pages.go(page)
        if page != "audit":
            pages.says("<img src=x", "#main")
    pages.go(f"keys/{key}")
    pages.button("Change").click()
    pages.one("dialog[open]")
    assert pages.run("return document.querySelector('dialog [id^=key_alias]').value") == seeds.STRANGE
    pages.press(Keys.ESCAPE)
    pages.button("Delete").click()
    pages.says("<script>", "dialog")
    assert "taken over" not in pages.driver.title
    assert pages.run("return document.querySelectorAll('#app img, #app script, dialog img, dialog script').length") == 0
    assert pages.complaints() == []


# --- other things that are made ---


@pytest.mark.parametrize(
    ("page", "button", "field", "kind", "action"),
    [
        ("teams", "Make a team", "team_alias", "team", "Make a team"),
        ("users", "Add a user", "user_alias", "user", "Add"),
        ("projects", "Make a project", "project_alias", "project", "Make a project"),
        ("customers", "Add a customer", "customer_id", "customer", "Add"),
        ("budgets", "Make a shared budget", "budget_id", "budget", "Make a shared budget"),
    ],
)
def test_each_kind_is_made_and_shown(
    pages: Browser, site: Site, page: str, button: str, field: str, kind: str, action: str
) -> None:
    """By its form; it is in the list at once, and in the gateway."""
    pages.go(page)
    pages.button(button).click()
    pages.write(f"dialog [id^={field}]", f"new-{kind}")
    pages.write("dialog [id^=max_budget]", "12")
    pages.button(action, "dialog").click()
    pages.says("was made", "#notices")
    pages.says(f"new-{kind}", "#main")
    rows = site.ask(f"/{kind}/list", limit=1000)[f"{kind}s"]
    assert next(one for one in rows if f"new-{kind}" in one.values())["max_budget"] == 12
    assert pages.complaints() == []


def test_members_of_a_team_are_changed(pages: Browser, site: Site) -> None:
    """One is added, and one removed."""
    team, users = site.made["teams"][3], site.made["users"]
    pages.go(f"teams/{team['team_id']}")
    pages.button("Change").click()
    pages.button("Remove member 1", "dialog").click()
    pages.button("Add a member", "dialog").click()
    pages.press(users[0]["user_id"])
    pages.button("Save", "dialog").click()
    pages.says("Saved", "#notices")
    found = site.ask("/team/info", team_id=team["team_id"])["members"]
    assert found == {users[4]["user_id"]: "member", users[0]["user_id"]: "member"}


# --- figures ---


@pytest.mark.usefixtures("amid_an_hour")
def test_the_overview_tells_what_the_ledger_has(pages: Browser, site: Site) -> None:
    """Requests of 30 days; each chart has its numbers as a table, and arrow keys read it."""
    pages.go("overview?range=30d")
    start = time.time() // 86400 * 86400 - 29 * 86400
    told = site.ask("/spend/series", step="all", start=start)["results"][0]
    assert f"{told['requests']:,}" in pages.text(".tiles")
    assert f"${told['cost']:.2f}" in pages.text(".tiles")
    pages.run("document.querySelectorAll('.numbers').forEach((one) => { one.open = true; })")
    table = "[aria-label='Requests, as a table']"
    pages.until(lambda: len(pages.all(f"{table} tbody tr")) == 30)
    cells = pages.run(
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", f"{table} td"
    )
    assert sum(int(one.replace(",", "")) for one in cells) == told["requests"]
    pages.run("document.querySelector('.chart svg[tabindex]').focus()")
    pages.press(Keys.END)
    pages.says("(UTC)", ".chart .tip")
    pages.press(Keys.ARROW_LEFT)
    assert "$" in pages.run("return document.querySelector('.chart [role=status]').textContent")


def test_requests_are_found(pages: Browser, site: Site) -> None:
    """By model and status, by the beginning of an id; older ones are fetched; the address keeps the filters."""
    pages.go("requests?span=2592000")
    assert len(pages.all("#main tbody tr")) == 50
    pages.button("Show older ones").click()
    pages.until(lambda: len(pages.all("#main tbody tr")) == 100)
    pages.choose("#f-status", "failed")
    pages.choose("#f-model", "gpt-4o")
    pages.settled()
    month = time.time() - 2592000
    wanted = site.ask("/spend/logs", model="gpt-4o", status="failed", limit=1000, start=month)["results"]
    assert len(pages.all("#main tbody tr")) == len(wanted)
    assert "model=gpt-4o" in pages.run("return location.hash")
    pages.go(f"requests?span=2592000&request_id={wanted[0]['id'][:10]}")
    pages.until(lambda: len(pages.all("#main tbody tr")) == 1)
    pages.go("requests?model=nothing-of-this-name")
    pages.says("No request fits", "#main")
    file = pages.run("return document.querySelector('a[download]').href")
    assert "format=csv" in file
    assert pages.complaints() == []


def test_a_request_has_its_whole_story(pages: Browser, site: Site) -> None:
    """What failed first, what answered, tokens by kind, who asked, and what could not be passed on."""
    found = site.ask("/spend/logs", limit=1000, start=time.time() - 2592000)["results"]
    row = next(one for one in found if one["failures"] and one["adaptations"] and one["status"] == 200)
    pages.go(f"requests/{row['id']}")
    told = pages.text("#main")
    for words in ("RateLimitError", f"{row['deployment']} answered", "Read from the provider's cache", "logit_bias",
                  f"{row['prompt']:,} in", row["upstream_id"]):  # fmt: skip
        assert words in told
    failed = next(one for one in found if one["status"] == 504)
    pages.go(f"requests/{failed['id']}")
    pages.says("No answer within 60 s.", "#main")


@pytest.mark.usefixtures("amid_an_hour")
def test_budgets_say_what_is_spent(pages: Browser, site: Site) -> None:
    """Of each, with a bar, and when it begins anew; one that is used up is told first."""
    pages.go("budgets")
    usage = site.ask("/budget/usage")["results"]
    over = [one for one in usage if one["spend"] >= one["max_budget"]]
    assert over
    pages.says("Used up", "#main table tbody tr")
    pages.says("6,000 rpm", "#main .note")
    pages.choose("#budget-kind", "gateway")
    whole = next(one for one in usage if one["kind"] == "gateway")
    assert whole["max_budget"] == 5000
    pages.until(lambda: len(pages.all("[aria-label=Budgets] tbody tr")) == 1)
    assert "Whole gateway" in pages.text("[aria-label=Budgets] tbody tr")
    for kind, words in (("deployment", "gpt-4o-east"), ("provider", "groq"), ("tag", "production")):
        pages.choose("#budget-kind", kind)
        pages.until(lambda words=words: words in pages.text("[aria-label=Budgets] tbody"))
        rows = [one for one in usage if one["kind"] == kind]
        assert len(pages.all("[aria-label=Budgets] tbody tr")) == len(rows) == (2 if kind == "provider" else 1)
    assert rows[0]["spend"] > 0
    pages.one("[aria-label=Budgets] tbody a").click()
    pages.until(lambda: len(pages.all("#f-tag")) == 1)
    assert pages.run("return document.querySelector('#f-tag').value") == "production"
    pages.until(lambda: len(pages.all("#main tbody tr")) > 1)
    pages.go("budgets")
    pages.choose("#budget-kind", "")
    assert len(pages.all("#main table tbody tr .meter")) >= len(usage)
    single = next(one for one in usage if one["model"] == "gpt-4o")
    logs = site.ask("/spend/logs", key=single["id"], model="gpt-4o", limit=1000, start=single["began_at"])["results"]
    assert single["spend"] == pytest.approx(sum(one["spend"] for one in logs))


# --- the playground ---


def test_the_playground_streams(pages: Browser, well: Upstream) -> None:
    """The words come one by one; what it took and cost is told, with a link to the request's story."""
    well.slow = 0.4
    pages.go("playground")
    pages.write("#play-system", "Be brief.")
    pages.write("#play-temperature", "0.2")
    pages.write("#play-most", "50")
    pages.write("#play-question", "Hello?")
    pages.press(Keys.ENTER)
    seen: set[str] = set()

    def done() -> bool:
        seen.add(pages.text(".turn.assistant p"))
        return "Well, hello" in seen

    pages.until(done)
    assert "Well" in seen
    pages.says("Its story", ".turn.assistant .meta")
    meta = pages.text(".turn.assistant .meta")
    assert "7 in, 3 out" in meta
    assert "$0.000" in meta
    assert "first word" in meta
    sent = json.loads(well.asked[-1][2])
    assert (sent["temperature"], sent["max_tokens"], sent["messages"][0]["content"]) == (0.2, 50, "Be brief.")
    assert pages.focused() == "Your message"
    assert pages.complaints() == []


def test_a_stream_can_be_stopped(pages: Browser, well: Upstream) -> None:
    """What came stays, and the provider is told."""
    well.slow = 1.0
    pages.go("playground")
    pages.write("#play-question", "Hello?")
    pages.press(Keys.ENTER)
    pages.says("Well", ".turn.assistant p")
    pages.button("Stop").click()
    pages.says("stopped", ".turn.assistant .meta")
    assert well.broken.wait(60)


def test_what_a_provider_refuses_is_said(pages: Browser, well: Upstream) -> None:
    """In words, and what was asked can be asked again."""
    well.failing = (400, {}, {"error": {"message": "temperature is too hot", "type": "invalid_request_error"}})
    pages.go("playground")
    pages.write("#play-question", "Hello?")
    pages.press(Keys.ENTER)
    pages.says("temperature is too hot", ".talk [role=alert]")
    pages.until(lambda: pages.button("Send").is_enabled())


# --- the gateway itself ---


def test_settings_show_the_file_s_differences_and_take_them(pages: Browser, site: Site) -> None:
    """No secret is in the page; a file that cannot be used is told, and nothing changes."""
    pages.go("settings")
    shown = pages.run("return document.documentElement.outerHTML")
    assert KEY not in shown
    assert "sk-upstream-secret" not in shown
    path = site.config
    before = path.read_text()
    try:
        path.write_text(before.replace("num_retries: 0", "num_retries: 1"))
        pages.go("settings")
        pages.says("$.router_settings.num_retries", "#main")
        pages.button("Reload the file").click()
        pages.button("Reload", "dialog").click()
        pages.says("Reloaded: 1 change", "#notices")
        pages.says("It says what runs", "#main")
        path.write_text(before + "\nunknown_section: 1\n")
        pages.go("settings")
        pages.says("It cannot be used", "#main")
    finally:
        path.write_text(before)
    assert pages.complaints() == []


def test_deployments_are_checked(pages: Browser, well: Upstream) -> None:
    """Each can be asked now; what it says is shown."""
    pages.go("models")
    pages.button("Check gpt-4o-east now").click()
    pages.says("Checked", "#notices")
    pages.says("Answered in", "section[aria-label='gpt-4o']")
    pages.until(lambda: pages.focused() == "Check gpt-4o-east now")
    pages.says("$2.50 in", "section[aria-label='gpt-4o']")


# --- as people like it ---


def test_the_theme_is_switched_and_kept(pages: Browser) -> None:
    """Whatever the system says."""
    pages.go("overview")
    before = pages.run("return getComputedStyle(document.documentElement).backgroundColor")
    pages.button("Use dark colours").click()
    after = pages.run("return getComputedStyle(document.documentElement).backgroundColor")
    assert before != after
    pages.open("overview")
    assert pages.run("return getComputedStyle(document.documentElement).backgroundColor") == after
    pages.button("Use light colours").click()
    pages.run("localStorage.clear(); delete document.documentElement.dataset.theme")


def test_the_menu_of_a_phone(pages: Browser) -> None:
    """It opens, has the focus, closes by Escape, and after a choice."""
    pages.look(PHONE)
    pages.go("overview")
    pages.button("Menu").click()
    pages.until(lambda: pages.focused() == "Overview")
    pages.press(Keys.ESCAPE)
    pages.until(lambda: pages.focused() == "Menu")
    pages.button("Menu").click()
    pages.button("Teams", ".nav").click()
    pages.says("Data science", "#main")
    pages.until(lambda: not pages.all(".side.open"))


def test_the_skip_link_leads_past_the_menu(pages: Browser) -> None:
    """It is the first thing that Tab reaches."""
    pages.open("overview")
    pages.run("document.body.tabIndex = -1; document.body.focus()")
    pages.press(Keys.TAB)
    assert pages.focused() == "Skip to content"
    pages.press(Keys.ENTER, Keys.TAB)
    assert pages.run("return document.activeElement.closest('#main') !== null")


# --- when there is nothing, or nobody ---


def test_a_new_gateway_says_what_to_do(
    upstream: Upstream, start: Callable[..., Gateway], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Empty pages in plain words; when the gateway is gone, that is said, and one can try again."""
    gateway = start(config_of(upstream, tmp_path_factory.mktemp("new")))
    browser = Browser(gateway.url)
    try:
        browser.open()
        browser.sign_in(KEY)
        empty = {
            "overview": "No requests in these 24 hours",
            "requests": "No request fits",
            "budgets": "No budgets yet",
            **{f"{kind}s": f"No {kind}s yet" for kind in ("key", "team", "user", "project", "customer")},
        }
        for page, words in empty.items():
            browser.go(page)
            browser.says(words, "#main")
        gateway.stop()
        browser.go("keys")
        browser.says("The gateway cannot be reached", "#main [role=alert]")
        browser.button("Try again", "#main")
    finally:
        browser.close()
