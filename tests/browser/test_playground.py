"""The Message Playground in a real browser: what it sends, what it shows, and where errors appear."""

from __future__ import annotations

import re

import orjson
from playwright.async_api import Page, Request, Route, expect

from shared.database.connection import Database
from tests.browser.conftest import ACCOUNT_IDS, Site, Watched
from tests.servers import ROOT

PICTURE = ROOT / "examples" / "offer.png"


async def send(page: Page, kind: str) -> Request:
    """Presses the form's button; answers the request that it made, once that is answered."""
    async with page.expect_response(re.compile(f"/api/send/{kind}$")) as made:
        await page.locator(f"#form-{kind} button[type=submit]").click()
    return (await made.value).request


async def test_a_text_is_queued(watched: Watched, store: Database) -> None:
    page = watched.page
    await page.locator("#message-phone").fill("15550100001")
    await page.locator("#message-message").fill('It\'s ready: "now"')
    request = await send(page, "message")
    await expect(page.locator("#answer-status")).to_have_text("202")
    assert orjson.loads(request.post_data or "") == {"phone": "15550100001", "message": 'It\'s ready: "now"'}
    row = await store.fetchrow("select id, phone, content, status from messages")
    assert row is not None
    assert (row["phone"], row["content"]) == ("15550100001@s.whatsapp.net", {"message": 'It\'s ready: "now"'})
    await expect(page.locator("#answer")).to_contain_text(str(row["id"]))
    await expect(page.locator("#outcome")).to_contain_text(f"Message {row['id']} is queued")
    curl = await page.locator("#curl").inner_text()
    assert (await request.all_headers())["idempotency-key"] in curl
    assert "'\\''" in curl
    # It is followed to its end.
    await store.execute("update messages set status = 'sent'")
    await expect(page.locator("#outcome")).to_contain_text(f"Message {row['id']} is sent")
    assert watched.complaints == []


async def test_all_fields_of_a_text_arrive(watched: Watched, store: Database) -> None:
    page = watched.page
    form = page.locator("#form-message")
    await form.get_by_label("Recipients").fill("15550100001,\n15550100002, 155x")
    await form.get_by_label("Message", exact=True).fill("hello")
    await form.get_by_label("Mentions").fill("15550100003, 15550100004")
    await form.get_by_label("Show as forwarded").check()
    await form.get_by_text("More options").click()
    await form.get_by_label("Reply to message").fill("3EB0ABCDEF")
    await form.get_by_label("Disappearing timer").select_option("24 hours")
    await form.get_by_label("Send through").select_option("127.0.0.1:19")
    await form.get_by_label("If the outcome is unknown").select_option("hold")
    await form.get_by_label("Lane").select_option("bulk")
    await form.get_by_label("Not after").fill("2040-01-02T03:04")
    await form.get_by_label("Your reference").fill("order 7")
    request = await send(page, "message")
    await expect(page.locator("#answer-status")).to_have_text("202")
    sent = orjson.loads(request.post_data or "")
    assert sent["phone"] == ["15550100001", "15550100002", "155x"]
    await expect(page.locator("#outcome")).to_contain_text("a campaign to 2 recipients")
    await expect(page.locator("#outcome")).to_contain_text("refused: 155x (it has characters")
    assert re.fullmatch(r"2040-01-0[123]T\d\d:\d\d:00.000Z", sent["expires_at"])
    row = await store.fetchrow("select content, total, lane, endpoint, on_unknown, reference from campaigns")
    assert row is not None
    assert row["content"] == {
        "message": "hello",
        "mentions": ["15550100003", "15550100004"],
        "is_forwarded": True,
        "reply_message_id": "3EB0ABCDEF",
        "duration": 86400,
    }
    assert (row["total"], row["lane"], row["endpoint"]) == (2, "bulk", ACCOUNT_IDS[1])
    assert (row["on_unknown"], row["reference"]) == ("hold", "order 7")
    # Several recipients are a campaign, which appears in the list.
    await expect(page.locator(".campaign h2")).to_have_text("order 7")
    assert watched.complaints == []


async def test_an_image_is_uploaded(watched: Watched, store: Database) -> None:
    page = watched.page
    await page.get_by_role("tab", name="Image").click()
    form = page.locator("#form-image")
    await form.get_by_label("Recipients").fill("15550100001")
    await form.get_by_label("Upload").set_input_files(PICTURE)
    await expect(form.get_by_alt_text("Preview of the chosen image")).to_be_visible()
    await form.get_by_label("Caption").fill("Our offer")
    for option in ("View once", "Compress", "HD"):
        await form.get_by_label(option).check()
    await expect(page.locator("#curl")).to_contain_text("-F 'image=@offer.png'")
    await send(page, "image")
    await expect(page.locator("#answer-status")).to_have_text("202")
    row = await store.fetchrow("select m.content, f.filename, f.size from messages m join media f on f.id = m.media")
    assert row is not None
    assert row["content"] == {"caption": "Our offer", "view_once": True, "compress": True, "hd": True}
    assert row["size"] == PICTURE.stat().st_size
    assert watched.complaints == []


async def test_a_file_is_uploaded(watched: Watched, store: Database) -> None:
    page = watched.page
    await page.get_by_role("tab", name="File").click()
    form = page.locator("#form-file")
    await form.get_by_label("Recipients").fill("15550100001")
    await form.get_by_label("Upload").set_input_files(
        {"name": "prices.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4\n%%EOF\n"}
    )
    await send(page, "file")
    await expect(page.locator("#answer-status")).to_have_text("202")
    assert await store.fetchval("select filename from media") == "prices.pdf"
    assert watched.complaints == []


async def test_an_error_is_shown_at_its_field(watched: Watched, store: Database) -> None:
    page = watched.page
    form = page.locator("#form-message")
    await send(page, "message")
    phone = form.get_by_label("Recipients")
    error = form.locator('[data-field="phone"] .error')
    await expect(error).to_contain_text("it is required")
    await expect(phone).to_have_attribute("aria-invalid", "true")
    await expect(phone).to_be_focused()
    await expect(phone).to_have_accessible_description(re.compile("it is required"))
    await expect(page.locator("#answer-status")).to_have_text("400")
    # Errors of hidden fields open what hides them.
    await phone.fill("15550100001")
    await form.get_by_label("Message", exact=True).fill("hello")
    await form.get_by_text("More options").click()
    await form.get_by_label("Not after").fill("2020-01-01T00:00")
    await form.get_by_text("More options").click()
    await send(page, "message")
    await expect(error).to_be_hidden()
    await expect(form.locator('[data-field="expires_at"] .error')).to_have_text("it is in the past")
    await expect(form.get_by_label("Not after")).to_be_visible()
    assert await store.fetchval("select count(*) from messages") == 0


async def test_each_message_has_its_own_key_but_one_without_an_answer_keeps_it(
    watched: Watched, site: Site, store: Database
) -> None:
    page = watched.page
    await page.locator("#message-phone").fill("15550100001")
    await page.locator("#message-message").fill("hello")
    keys: list[str] = []
    lost = True

    async def lose_the_first_answer(route: Route) -> None:
        nonlocal lost
        keys.append((await route.request.all_headers())["idempotency-key"])
        if lost:
            lost = False
            # It arrives and is accepted, but its answer never comes back.
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await page.route("**/api/send/message", lose_the_first_answer)
    await page.locator("#form-message button[type=submit]").click()
    await expect(page.locator("#outcome")).to_contain_text("There was no answer")
    await send(page, "message")
    await expect(page.locator("#answer-status")).to_have_text(re.compile("^2"))
    await send(page, "message")
    await page.unroute("**/api/send/message")
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]


async def test_tabs_move_by_keyboard(watched: Watched) -> None:
    page = watched.page
    await page.get_by_role("tab", name="Text").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Image")).to_be_focused()
    await expect(page.locator("#form-image")).to_be_visible()
    await expect(page.locator("#form-message")).to_be_hidden()
    await expect(page.locator("#curl")).to_contain_text("/api/send/image")
