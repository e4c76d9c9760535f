"""The dashboard in a real browser: live figures, campaigns, a broken stream, and nothing from elsewhere."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import expect

from shared.database.connection import Database
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from tests.browser.conftest import ACCOUNT_IDS, Site, Watched
from tests.integration.accepting import accept_campaign
from tests.integration.queue.rota import dispatcher, done, entry, put

NARROW = {"width": 400, "height": 800}


async def test_figures_are_live(watched: Watched, services_queue: QueueConnection) -> None:
    page = watched.page
    queued = page.locator('[data-figure="queued"]')
    await expect(queued).to_have_text("0")
    await put(services_queue, entry(), entry(), entry(Lane.BULK))
    await expect(queued).to_have_text("3")
    lanes = page.locator(".lane")
    await expect(lanes.nth(0)).to_contain_text("0 in hand, 2 waiting")
    taking = dispatcher(services_queue, *ACCOUNT_IDS, name="dispatcher-2")
    await taking.beat()
    taken = (await taking.take(1)).assignments
    await expect(lanes.nth(0)).to_contain_text("1 in hand, 1 waiting")
    await taking.settle([done(taken[0], answer_ms=1500)])
    await expect(queued).to_have_text("2")
    await expect(page.locator('[data-figure="sent"]')).to_have_text("1")
    await expect(page.locator("#chart svg")).to_have_attribute(
        "aria-label", re.compile("60 minutes: 1 sent, 0 not sent")
    )
    await expect(page.locator("#chart .bar.sent")).to_have_count(1)
    # On a slow machine the first beats are long over when the browser has come this far.
    await dispatcher(services_queue, *ACCOUNT_IDS, name="dispatcher-1").beat()
    await taking.beat()
    await expect(page.locator("#dispatchers")).to_have_text(re.compile("dispatcher-1.*dispatcher-2"))
    await expect(page.locator("#health")).to_have_attribute("data-status", "ok")
    assert watched.complaints == []


async def test_an_account_is_suspended_with_a_reason_and_resumed(watched: Watched, store: Database) -> None:
    page, card = watched.page, watched.page.locator(".account").nth(1)
    await card.get_by_role("button", name="Suspend").click()
    await page.locator("#confirm-reason").fill("the phone is lost")
    await page.locator("#confirm-yes").click()
    await expect(card).to_contain_text("the phone is lost")
    await expect(card).to_contain_text("Suspended")
    suspended = await store.fetch("select id, suspend_reason from endpoints where suspended_at is not null")
    assert [tuple(row) for row in suspended] == [(ACCOUNT_IDS[1], "the phone is lost")]
    await card.get_by_role("button", name="Resume").click()
    await expect(page.locator("#accounts-told")).to_contain_text("put on trial")
    # No scheduler is there to ask the account, so an operator does without a trial.
    await card.get_by_role("button", name="Reset breaker").click()
    await expect(card).to_contain_text("Healthy")
    await expect(card.get_by_role("button", name="Suspend")).to_be_visible()
    assert watched.complaints == []


async def test_a_hold_for_new_contacts_is_shown_and_released(watched: Watched, store: Database) -> None:
    page, card = watched.page, watched.page.locator(".account").nth(1)
    button = card.get_by_role("button", name="Release hold")
    await expect(button).to_be_hidden()
    held = "insert into endpoints (id, cold_held_until) values ($1, clock_timestamp() + interval '5 hours')"
    await store.execute(held, ACCOUNT_IDS[1])
    await expect(card).to_contain_text("Gets no new contacts for 5 h")
    await button.click()
    await page.locator("#confirm-reason").fill("WhatsApp lifted it")
    await page.locator("#confirm-yes").click()
    await expect(page.locator("#accounts-told")).to_contain_text("write to new contacts again")
    await expect(card).not_to_contain_text("no new contacts")
    await expect(button).to_be_hidden()
    assert await store.fetchval("select cold_held_until from endpoints where id = $1", ACCOUNT_IDS[1]) is None
    assert watched.complaints == []


async def test_accounts_with_their_breakers(watched: Watched, services_queue: QueueConnection, store: Database) -> None:
    page = watched.page
    await expect(page.locator(".account")).to_have_count(3)
    await expect(page.locator("#accounts-hint")).to_have_text("3 of 3 accounts healthy")
    await put(services_queue, entry())
    taking = dispatcher(services_queue, ACCOUNT_IDS[1])
    taken = (await taking.take(1)).assignments
    await taking.settle([done(taken[0], outcome="critical", verdict="logged_out", reason="the account is logged out")])
    await store.execute("select suspend_endpoint($1, 'on holiday')", ACCOUNT_IDS[2])
    cards = page.locator(".account")
    await expect(cards.nth(1)).to_contain_text("Out of rotation")
    await expect(cards.nth(1)).to_contain_text("the account is logged out")
    await expect(cards.nth(2)).to_contain_text("Suspended")
    await expect(cards.nth(2)).to_contain_text("on holiday")
    await expect(page.locator("#reasons")).to_contain_text("Endpoint 127.0.0.1:19 does not send", ignore_case=True)
    await expect(page.locator("#health")).to_have_attribute("data-status", "degraded")
    assert watched.complaints == []


async def test_what_feedback_did_and_the_alerts_are_shown(watched: Watched, store: Database) -> None:
    page, cards = watched.page, watched.page.locator(".account")
    await expect(page.locator("#alerts-box")).to_be_hidden()
    change = "select change_account_feedback($1, 'normal', null, $2, 'errors', $3, 3, 5400, 1)"
    await store.execute(change, ACCOUNT_IDS[1], "slowed", "38 of 60 attempts failed within 30 min")
    await store.execute(change, ACCOUNT_IDS[2], "suspended", "9 of 10 attempts failed on trial")
    await expect(cards.nth(1).locator(".badge")).to_have_text("Slowed")
    await expect(cards.nth(1).locator(".trouble")).to_contain_text("38 of 60 attempts failed within 30 min")
    await expect(cards.nth(2).locator(".badge")).to_have_text("Suspended")
    await expect(cards.nth(2)).to_contain_text("9 of 10 attempts failed on trial · trial in 90 min")
    await expect(page.locator("#accounts-hint")).to_have_text("1 of 3 accounts healthy")
    alerts = page.locator("#alerts .alert")
    await expect(alerts.nth(0)).to_contain_text("suspended: 9 of 10 attempts failed on trial")
    await expect(alerts.nth(0).locator(".badge")).to_have_text("critical")
    await expect(alerts.nth(1)).to_contain_text("slowed 3 times: 38 of 60 attempts failed within 30 min")
    await cards.nth(2).get_by_role("button", name="Resume").click()
    await expect(page.locator("#reasons")).not_to_contain_text("suspended by feedback")
    assert watched.complaints == []


async def test_a_campaign_is_paused_resumed_and_cancelled(watched: Watched, store: Database) -> None:
    page = watched.page
    await expect(page.locator("#campaigns-empty")).to_be_visible()
    campaign = await accept_campaign(store, 8)
    # A name from outside is a text and nothing else.
    await store.execute("update campaigns set reference = '<img src=x onerror=alert(1)>'")
    row = page.locator(".campaign")
    await expect(row.locator("h2")).to_have_text("<img src=x onerror=alert(1)>")
    assert await row.locator("img").count() == 0
    await store.execute(
        "insert into campaign_counts (campaign, shard, sent, failed, possible_duplicates)"
        " values ($1, 0, 2, 1, 0), ($1, 1, 1, 0, 1)",
        campaign.token,
    )
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50.0")
    await expect(row).to_contain_text("3 sent · 1 failed · 4 to go · 1 maybe twice")

    await row.get_by_role("button", name="Pause").click()
    await expect(row.locator(".badge")).to_have_text("paused")
    assert await store.fetchval("select status from campaigns") == "paused"
    await row.get_by_role("button", name="Resume").click()
    await expect(row.locator(".badge")).to_have_text("running")

    await row.get_by_role("button", name="Cancel").click()
    dialog = page.locator("#confirm")
    await expect(dialog).to_contain_text("4 messages will not be sent")
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(dialog).to_be_hidden()
    assert await store.fetchval("select status from campaigns") == "running"
    await row.get_by_role("button", name="Cancel").click()
    await dialog.get_by_role("button", name="Cancel the campaign").click()
    await expect(row.locator(".badge")).to_have_text("canceled")
    assert await store.fetchval("select status from campaigns") == "canceled"
    assert watched.complaints == []


async def test_a_lane_is_stopped_for_a_reason_and_started_again(watched: Watched, store: Database) -> None:
    page = watched.page
    dialog = page.locator("#confirm")
    bulk = page.locator(".lane", has_text="Bulk")
    await bulk.get_by_role("button", name="Stop the bulk lane").click()
    # Not without a reason.
    await dialog.get_by_role("button", name="Stop it").click()
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Why?").fill("too many complaints")
    await page.keyboard.press("Enter")
    await expect(bulk.locator(".badge")).to_have_text("stopped")
    await expect(bulk).to_contain_text("too many complaints")
    assert await store.fetchval("select stopped_lanes from control") == ["bulk"]
    await bulk.get_by_role("button", name="Start the bulk lane").click()
    await expect(bulk.locator(".badge")).to_be_hidden()
    assert await store.fetchval("select stopped_lanes from control") == []
    assert watched.complaints == []


async def test_the_pace_is_changed(watched: Watched, store: Database) -> None:
    page = watched.page
    pace = page.get_by_label("Pace")
    await expect(page.locator("#pace-note")).to_contain_text("campaign messages a minute and account")
    await expect(pace).to_have_value("manual")
    before = await page.locator("#pace-note").inner_text()
    async with page.expect_response("**/api/rate-profile"):
        await pace.select_option("bulk")
    await expect(page.locator("#pace-note")).not_to_have_text(before)
    assert await store.fetchval("select rate_profile from control") == {"name": "bulk"}
    await page.reload()
    await expect(pace).to_have_value("bulk")
    assert watched.complaints == []


async def test_a_finished_campaign_retries_what_failed(watched: Watched, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    await store.execute("update messages set status = 'failed', reason = 'x' where id = $1", campaign.messages[0])
    await store.execute("update messages set status = 'sent' where id = $1", campaign.messages[1])
    assert await store.fetchval("select finish_campaign($1)", campaign.token)
    row = watched.page.locator(".campaign")
    await expect(row.locator(".badge")).to_have_text("finished")
    await row.get_by_role("button", name="Retry failed").click()
    await expect(row.locator(".badge")).to_have_text("running")
    await expect(watched.page.locator("#campaigns-hint")).to_have_text("1 message will be tried again")
    assert await store.fetchval("select status from messages where id = $1", campaign.messages[0]) == "queued"


async def test_messages_of_unknown_outcome_are_decided(watched: Watched, store: Database) -> None:
    page = watched.page
    await accept_campaign(store, 3)
    await store.execute("update messages set status = 'unknown', reason = 'no answer: x', changed_at = now()")
    await page.reload()
    rows = page.locator(".undecided")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("no answer: x")
    await page.get_by_role("button", name="It was sent: +15550200000").click()
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="It was not: +15550200001").click()
    await expect(rows).to_have_count(1)
    again = page.get_by_role("button", name="Send again: +15550200002")
    await again.click()
    await page.get_by_role("button", name="Leave it").click()
    await expect(rows).to_have_count(1)
    await again.click()
    await page.get_by_role("button", name="Send it again").click()
    await expect(page.locator("#review")).to_be_hidden()
    found = await store.fetch("select status from messages order by id")
    assert [row["status"] for row in found] == ["sent", "failed", "queued"]
    assert watched.complaints == []


async def test_a_broken_stream_is_told_and_mends_itself(watched: Watched, site: Site) -> None:
    page = watched.page
    stale = page.locator("#stale")
    await expect(stale).to_be_hidden()
    site.monitor.kill()
    await expect(stale).to_be_visible()
    await expect(stale).to_contain_text("These figures are old")
    await expect(page.locator("#live-text")).to_have_text("Reconnecting")
    # While the monitor is away the edge answers 503, at which browsers give up by themselves.
    answered = await page.evaluate("fetch('/api/statistics').then((answer) => answer.status)")
    assert answered == 503
    await site.monitor.start()
    await expect(stale).to_be_hidden()
    await expect(page.locator("#live-text")).to_have_text("Live")


async def test_a_stream_that_falls_silent_is_told(watched: Watched, site: Site) -> None:
    stale = watched.page.locator("#stale")
    site.monitor.pause()
    await expect(stale).to_be_visible()
    site.monitor.resume()
    await expect(stale).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_and_follows_the_colour_scheme(watched: Watched, store: Database, scheme: str) -> None:
    page = watched.page
    await accept_campaign(store, 3)
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    await page.reload()
    await page.locator(".campaign").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", background)[0])
    assert red > 200 if scheme == "light" else red < 50
    assert watched.complaints == []


async def test_every_control_has_a_name(watched: Watched) -> None:
    nameless = await watched.page.evaluate(
        """() => [...document.querySelectorAll("#playground input, #playground textarea, #playground select, button")]
            .filter((control) => !(control.labels?.length || control.textContent.trim() || control.ariaLabel
                || control.id.startsWith("confirm-")))
            .map((control) => control.outerHTML)"""
    )
    assert nameless == []


async def test_inline_scripts_do_not_run(watched: Watched) -> None:
    page = watched.page
    await page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.body.append(script);
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.head.append(style);
        }"""
    )
    assert await page.evaluate("window.injected") is None
    await expect(page.locator("main")).to_be_visible()
    assert len([complaint for complaint in watched.complaints if "Content Security Policy" in complaint]) == 2


async def test_pages_and_files_come_with_the_right_headers(site: Site) -> None:
    login = {"Authorization": aiohttp.encode_basic_auth(site.username, site.password)}
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/dashboard"):
            async with session.get(site.origin + path, headers=login) as page:
                assert page.status == 200
                assert page.headers["Cache-Control"] == "no-store"
                assert page.headers["X-Content-Type-Options"] == "nosniff"
                assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
                assert "unsafe" not in page.headers["Content-Security-Policy"]
                text = await page.text()
        assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*src=)", text)
        addresses = [f"/{found}" for found in re.findall(r'"\./(static/[^"]+)"', text)]
        assert any(address.endswith(".js") for address in addresses)
        for address in addresses:
            async with session.get(site.origin + address, headers=login) as file:
                assert file.status == 200
                assert "immutable" in file.headers["Cache-Control"]
                content = await file.read()
            another = re.sub(r"/static/\w+/", "/static/000000000000/", address)
            async with session.get(site.origin + another, headers=login) as file:
                assert file.headers["Cache-Control"] == "no-store"
                assert await file.read() == content
        for stranger in ("/static/x/settings.py", "/static/x/..%2Fpages.py", "/static/x/"):
            async with session.get(site.origin + stranger, headers=login) as file:
                assert file.status == 404
        async with session.get(site.origin + "/") as page:
            assert page.status == 401
