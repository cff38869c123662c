"""Signing in with a second factor, and at an OpenID Connect provider, in a real Chromium and both color schemes."""

import re

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from callreel.web.app import WebOptions
from tests.support.oidc_provider import oidc_provider
from tests.support.program import free_port
from tests.support.seed import Seed
from tests.web.axe import need_axe, serious_violations
from tests.web.chromium import serving
from tests.web.conftest import PASSWORD, MakeApp

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def enter(page: Page, url: str, name: str = "ada") -> None:
    page.goto(f"{url}/sign-in?next=/statistics")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def check(page: Page) -> None:
    """No serious accessibility violation in either color scheme."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert serious_violations(page) == []


def test_person_enrols_and_signs_in_with_a_code(page: Page, sign_in_url: str, place: Seed) -> None:
    need_axe()
    enter(page, sign_in_url)
    page.get_by_role("link", name="ada").click()
    page.get_by_role("link", name="Set up").click()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".qr-code svg")).to_be_visible()
    check(page)
    app = pyotp.TOTP((page.locator("[data-key]").text_content() or "").replace(" ", ""))
    page.get_by_label("Code").fill(app.now())
    page.get_by_role("button", name="Confirm").click()
    codes = page.locator(".secret-codes li")
    expect(codes).to_have_count(10)
    check(page)
    spare = codes.first.text_content() or ""
    page.get_by_role("button", name="Sign out").click()

    enter(page, sign_in_url)
    expect(page.get_by_label("Code")).to_be_focused()
    check(page)
    page.get_by_label("Code").fill(spare)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile("/statistics"))
    page.get_by_role("link", name="ada").click()
    page.get_by_role("link", name="Manage").click()
    expect(page.locator("main")).to_contain_text("You have 9 unused recovery codes")
    check(page)


def test_person_signs_in_and_out_at_a_provider(browser: Browser, place: Seed, make_app: MakeApp) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with oidc_provider() as provider, browser.new_context() as context:
        provider.put_person("kim-1", preferred_username="kim", groups=["leads"])
        client = provider.register(f"{url}/sign-in/provider/callback")
        app = make_app(
            WebOptions(secure_cookies=False, public_url=url, provider=client, local_accounts=False)
        )
        page, errors = context.new_page(), []
        page.on(
            "console", lambda one: errors.append(one.text) if one.location["url"].startswith(url) else None
        )
        context.route("https://**", lambda route: route.abort())  # the provider's style sheet
        with serving(app, place, port):
            page.goto(f"{url}/statistics")
            expect(page.get_by_label("Password")).to_have_count(0)
            check(page)
            page.get_by_role("link", name="Sign in with single sign-on").click()
            page.get_by_placeholder("sub").fill("kim-1")
            page.get_by_role("button", name="Authorize").click()
            page.wait_for_url(f"{url}/statistics")
            expect(page.get_by_role("link", name="kim")).to_be_visible()
            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url(f"{provider.issuer}/oauth2/end_session?**")
            page.get_by_role("button", name="End session").click()
            page.wait_for_url(f"{url}/sign-in")
            expect(page.get_by_role("link", name="Sign in with single sign-on")).to_be_visible()
            page.goto("about:blank")
    assert not errors, f"the pages reported errors: {errors}"
