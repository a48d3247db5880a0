"""The page in a real browser (Debian's chromium, driven by playwright)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient

from bot.workspace import Person, Workspace

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect  # waits: the page follows a click a moment later
PATIENCE = 20_000  # milliseconds: the machine may be busy with the other tests
expect.set_options(timeout=PATIENCE)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: the page is not tested"
)

CHANNEL = "C000000001"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
EVIL = "<img src=x onerror=\"document.title='owned'\">"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, workspace: Workspace) -> Iterator[Callable[..., Any]]:
    """Opens the page; the test fails when the page logs an error."""
    errors: list[str] = []
    pages = []

    def open_page(width: int = 1280, height: int = 860, path: str = "") -> Any:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(workspace.page_url + path)
        page.wait_for_selector(".pane-head h2")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


def post_alert(client: WebClient, kit: Any) -> str:
    question = {
        "title": kit.plain("Dismiss this alert?"),
        "text": {"type": "mrkdwn", "text": "It is *closed* as a false alarm."},
        "confirm": kit.plain("Dismiss it"),
        "deny": kit.plain("Keep it"),
    }
    cells = [[{"type": "raw_text", "text": f"{row}.{column}"} for column in range(12)] for row in range(3)]
    blocks = [
        {"type": "header", "text": kit.plain(":rotating_light: Drift in ids-flows")},
        kit.section("Overall PSI is *0.86*."),
        {"type": "table", "rows": cells},
        kit.actions(
            kit.button("approve", "Approve retrain", style="primary", value="7"),
            kit.button("dismiss", "Dismiss", style="danger", value="7", confirm=question),
        ),
    ]
    return str(client.chat_postMessage(channel=CHANNEL, text="Drift", blocks=blocks)["ts"])


def test_a_button_asks_before_it_acts(
    app: App, connect: Any, client: WebClient, open_page: Any, kit: Any
) -> None:
    clicks: Queue[Json] = Queue()

    @app.action("dismiss")
    def dismiss(ack: Any, body: Json, respond: Any) -> None:
        ack()
        clicks.put(body)
        respond(text="Dismissed by <@U0ANNA> :white_check_mark:", replace_original=True)

    connect(app)
    post_alert(client, kit)
    page = open_page()
    page.get_by_role("button", name="Dismiss", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent") == "Dismiss"
    page.get_by_role("button", name="Dismiss", exact=True).click()
    page.get_by_role("button", name="Dismiss it").click()
    page.get_by_text("Dismissed by").wait_for()
    expect(page.locator(".mention.me")).to_have_text("@Anna Approver")
    expect(page.locator(".emoji").first).to_have_text("✅")
    assert clicks.qsize() == 1


def test_a_modal_shows_its_errors_beside_the_field(
    app: App, connect: Any, client: WebClient, anna: Person, open_page: Any, kit: Any
) -> None:
    files = {"type": "checkboxes", "action_id": "files", "options": kit.options("monday.csv", "tuesday.csv")}
    pick = {"type": "input", "block_id": "pick", "label": kit.plain("Labelled files"), "element": files}

    @app.action("approve")
    def approve(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        view = kit.modal(pick, kit.text_input("why", "text"), callback_id="approve", title="Approve retrain")
        client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("approve")
    def submitted(ack: Any, view: Json, client: WebClient) -> None:
        values = view["state"]["values"]
        if len(values["pick"]["files"]["selected_options"]) == 2:
            ack(response_action="errors", errors={"pick": "tuesday.csv was used before."})
            return
        ack()
        client.chat_postMessage(channel=CHANNEL, text=f"started because {values['why']['text']['value']}")

    connect(app)
    post_alert(client, kit)
    page = open_page()
    page.get_by_role("button", name="Approve retrain").click()
    dialog = page.get_by_role("dialog", name="Approve retrain")
    dialog.get_by_role("button", name="Send").click()
    dialog.locator(".error").nth(1).wait_for()
    expect(dialog.locator(".error")).to_have_count(2)
    dialog.get_by_label("Reason").fill("new attack")
    dialog.get_by_label("Monday.Csv").click()
    dialog.get_by_label("Tuesday.Csv").click()
    dialog.get_by_role("button", name="Send").click()
    dialog.get_by_text("tuesday.csv was used before.").wait_for()
    expect(dialog.get_by_label("Reason")).to_have_value("new attack")
    dialog.get_by_label("Tuesday.Csv").click()
    dialog.get_by_role("button", name="Send").click()
    page.get_by_text("started because new attack").wait_for()
    page.wait_for_selector("dialog", state="detached")


def test_escape_closes_a_modal_and_the_focus_returns(
    app: App, connect: Any, client: WebClient, anna: Person, open_page: Any, kit: Any
) -> None:
    @app.action("approve")
    def approve(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=kit.modal(kit.text_input("why", "text")))

    connect(app)
    post_alert(client, kit)
    page = open_page()
    page.get_by_role("button", name="Approve retrain").click()
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert anna.open_view() is None
    assert page.evaluate("document.activeElement.textContent") == "Approve retrain"


def test_switching_the_person_changes_what_is_seen(client: WebClient, open_page: Any) -> None:
    client.chat_postMessage(channel=CHANNEL, text="for everybody")
    client.chat_postEphemeral(channel=CHANNEL, user="U0VIC", text="for Vic alone")
    page = open_page()
    page.get_by_text("for everybody").wait_for()
    expect(page.get_by_text("for Vic alone")).to_have_count(0)
    page.get_by_role("button", name="Vic Viewer").click()
    page.get_by_text("for Vic alone").wait_for()
    expect(page.get_by_text("Only visible to you")).to_have_count(1)
    expect(page.locator("[aria-pressed=true]").get_by_text("Vic Viewer")).to_have_count(1)
    expect(page.get_by_text("Writing as Vic Viewer").first).to_be_visible()


def test_slash_help_is_used_from_the_keyboard(app: App, connect: Any, open_page: Any) -> None:
    app.command("/drift")(lambda ack, command: ack(f"asked for {command['text']}"))
    connect(app)
    page = open_page()
    box = page.locator("#composer-text")
    box.press_sequentially("/")
    assert page.locator(".suggestion").all_inner_texts() == [
        "/drift status\nHow things are",
        "/drift check [file]\nCheck a file",
    ]
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("/drift check ")
    box.press_sequentially("a.csv")
    box.press("Enter")
    page.get_by_text("asked for check a.csv").wait_for()
    expect(box).to_have_value("")


def test_a_mention_is_completed(open_page: Any, anna: Person) -> None:
    page = open_page()
    box = page.locator("#composer-text")
    box.press_sequentially("hello @drif")
    box.press("Tab")
    box.press_sequentially("!")
    box.press("Enter")
    page.get_by_role("article").locator(".mention").get_by_text("@DriftCatcher").wait_for()
    assert anna.messages("ml-alerts")[0]["text"] == "hello <@U0EMBEDBOT> !"


def test_a_failure_is_a_toast_and_the_text_is_kept(open_page: Any) -> None:
    page = open_page()
    box = page.locator("#composer-text")
    box.fill("/drift status")
    box.press("Enter")
    page.locator(".toast").get_by_text("DriftCatcher did not respond").wait_for()
    expect(box).to_have_value("/drift status")
    expect(page.get_by_text("DriftCatcher is not connected")).to_be_visible()


def test_a_thread_shows_pictures_and_takes_replies(client: WebClient, anna: Person, open_page: Any) -> None:
    ts = client.chat_postMessage(channel=CHANNEL, text="alert")["ts"]
    client.files_upload_v2(
        channel=CHANNEL, thread_ts=ts, content=PNG, filename="plot.png", title="Flow Duration"
    )
    page = open_page()
    page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_role("complementary", name="Thread")
    image = thread.get_by_role("img", name="Flow Duration")
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("naturalWidth", 1)
    thread.get_by_role("button", name="Enlarge: Flow Duration").click()
    page.wait_for_selector("dialog.lightbox[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    thread.get_by_role("combobox").fill("understood")
    thread.get_by_role("combobox").press("Enter")
    thread.get_by_text("understood").wait_for()
    assert [m["text"] for m in anna.replies("ml-alerts", ts)][-1] == "understood"
    page.keyboard.press("Escape")
    expect(thread).to_be_hidden()


def test_a_phone_shows_one_thing_at_a_time(client: WebClient, open_page: Any, kit: Any) -> None:
    ts = post_alert(client, kit)
    client.chat_postMessage(channel=CHANNEL, thread_ts=ts, text="details")
    page = open_page(width=390, height=844)
    page.get_by_role("button", name="Approve retrain").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("(t => t.scrollWidth > t.clientWidth)(document.querySelector('.table-scroll'))")
    expect(page.get_by_role("button", name="Vic Viewer")).to_be_hidden()
    page.get_by_role("button", name="Channels and people").click()
    page.get_by_role("button", name="Vic Viewer").click()
    page.get_by_role("button", name="You are Vic Viewer").wait_for()
    page.get_by_role("button", name="1 reply").click()
    assert page.locator(".thread").bounding_box()["width"] == 390
    page.get_by_role("button", name="Close the thread").click()
    expect(page.get_by_role("heading", name="# ml-alerts").first).to_be_visible()


def test_the_home_tab_is_drawn_and_its_button_works(app: App, connect: Any, open_page: Any, kit: Any) -> None:
    clicks: Queue[str] = Queue()

    @app.event("app_home_opened")
    def home(event: Json, client: WebClient) -> None:
        view = {
            "type": "home",
            "blocks": [kit.section("Models"), kit.actions(kit.button("refresh", "Refresh"))],
        }
        client.views_publish(user_id=event["user"], view=view)

    @app.action("refresh")
    def refresh(ack: Any) -> None:
        ack()
        clicks.put("refresh")

    connect(app)
    page = open_page()
    page.get_by_role("navigation").get_by_role("button", name="DriftCatcher").click()
    page.get_by_role("button", name="Refresh").click()
    assert clicks.get(timeout=5) == "refresh"


def test_text_from_others_is_never_markup(client: WebClient, open_page: Any, kit: Any) -> None:
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": EVIL}]]}
    rich = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": EVIL}]}],
    }
    blocks = [
        kit.section(EVIL),
        table,
        rich,
        {"type": "markdown", "text": EVIL},
        {"type": "header", "text": kit.plain(EVIL)},
    ]
    client.chat_postMessage(channel=CHANNEL, text="x", blocks=blocks)
    client.chat_postMessage(channel=CHANNEL, text=f"{EVIL} <javascript:alert(1)|click> `{EVIL}`")
    page = open_page()
    page.get_by_text("click").wait_for()
    expect(page.locator(".message img")).to_have_count(0)
    expect(page.locator("a[href^=javascript]")).to_have_count(0)
    assert page.title() != "owned"


def test_mrkdwn_is_drawn_as_slack_draws_it(client: WebClient, open_page: Any) -> None:
    text = (
        "*bold* _italic_ ~gone~ `code*x*` 2*3*4 snake_case_name :warning: :unknown_name:\n"
        "&gt; quoted &amp; escaped\n• one\n• two\n<https://example.org|a link> <#C000000002|ml-reports> <@U0VIC>\n"
        "<!date^0^{date_num}|fallback> <!date^0^{never}|the fallback>\n```pre *formatted*```"
    )
    client.chat_postMessage(channel=CHANNEL, text=text)
    page = open_page()
    message = page.locator(".message .text")
    found = {
        tag: message.locator(tag).all_inner_texts()
        for tag in ("strong", "em", "s", "code", "blockquote", "li", "a")
    }
    assert found == {
        "strong": ["bold"],
        "em": ["italic"],
        "s": ["gone"],
        "code": ["code*x*", "pre *formatted*"],
        "blockquote": ["quoted & escaped"],
        "li": ["one", "two"],
        "a": ["a link"],
    }
    whole = message.inner_text()
    for part in (
        "2*3*4",
        "snake_case_name",
        "⚠️",
        ":unknown_name:",
        "#ml-reports",
        "@Vic Viewer",
        "the fallback",
    ):
        assert part in whole
    assert message.locator("time").first.inner_text() in ("1970-01-01", "1969-12-31")


def test_the_page_comes_back_after_an_outage(workspace: Workspace, client: WebClient, browser: Any) -> None:
    page = browser.new_page()
    page.goto(workspace.page_url)
    page.wait_for_selector(".rail-item")
    workspace.stop()
    page.get_by_text("Reconnecting…").wait_for()
    workspace.start()
    client.chat_postMessage(channel=CHANNEL, text="back again")
    page.get_by_text("back again").wait_for(timeout=15_000)
    page.close()


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000"
    "00030101001827a2a60000000049454e44ae426082"
)


def fill(client: WebClient, rows: int, thread_ts: str | None = None) -> None:
    for n in range(rows):
        client.chat_postMessage(channel=CHANNEL, text=f"line {n}\n" * 4, thread_ts=thread_ts)


def scroll_up(page: Any) -> None:
    page.locator("#channel .scroll[tabindex]").evaluate("node => { node.scrollTop = 0; }")
    page.evaluate("() => new Promise(requestAnimationFrame)")  # the page hears of it with the next frame
    page.evaluate("() => new Promise(requestAnimationFrame)")


def shows(page: Any, selector: str) -> bool:
    """Whether an element lies within its scrolling pane and the window, not only somewhere on the page."""
    return bool(
        page.locator(selector).last.evaluate(
            """node => {
                const box = node.getBoundingClientRect(), pane = node.closest('.scroll').getBoundingClientRect();
                return box.top >= pane.top - 1 && box.bottom <= pane.bottom + 1;
            }"""
        )
    )


def test_what_one_writes_and_is_told_alone_comes_into_view(client: WebClient, open_page: Any) -> None:
    fill(client, 20)
    page = open_page()
    scroll_up(page)
    page.get_by_role("combobox", name="Message #ml-alerts").fill("here I am")
    page.keyboard.press("Enter")
    page.locator(".text", has_text="here I am").wait_for()
    expect(page.locator("#channel .newer")).to_have_js_property("hidden", True)
    assert shows(page, "#channel .message")

    scroll_up(page)
    client.chat_postMessage(channel=CHANNEL, text="from the bot")
    more = page.locator("#channel .newer")
    more.wait_for()
    assert not shows(page, "#channel .message"), "the reader is not pulled away"
    more.click()
    expect(more).to_be_hidden()
    assert shows(page, "#channel .message")

    scroll_up(page)
    client.chat_postEphemeral(channel=CHANNEL, user="U0ANNA", text="You are not an approver.")
    page.locator(".ephemeral").wait_for()
    page.wait_for_timeout(100)
    assert shows(page, "#channel .message")


def test_opening_a_thread_leaves_the_buttons_in_view(client: WebClient, open_page: Any, kit: Any) -> None:
    fill(client, 10)
    ts = post_alert(client, kit)
    fill(client, 8, thread_ts=ts)
    page = open_page(1100, 700)
    page.locator(".thread-link").click()
    page.locator("#thread .message").first.wait_for()
    page.wait_for_timeout(200)
    assert shows(page, "#channel .block-actions")


def test_the_command_alone_is_sent_by_enter(app: App, connect: Any, open_page: Any) -> None:
    got: Queue[str] = Queue()

    @app.command("/drift")
    def drift(ack: Any, command: Json) -> None:
        got.put(command["text"])
        ack("What I can do")

    connect(app)
    page = open_page()
    box = page.get_by_role("combobox", name="Message #ml-alerts")
    box.press_sequentially("/drift")
    page.keyboard.press("Enter")
    page.get_by_text("What I can do").wait_for()
    assert got.get_nowait() == ""


def test_a_message_that_cannot_be_drawn_leaves_the_others(client: WebClient, open_page: Any) -> None:
    for date in ("abc", "99999999999999"):
        client.chat_postMessage(channel=CHANNEL, text=f"<!date^{date}^{{time}}|some time> and the rest")
    client.chat_postMessage(channel=CHANNEL, text="an honest line")
    page = open_page()
    expect(page.locator(".text", has_text="some time and the rest")).to_have_count(2)
    page.get_by_text("an honest line").wait_for()


def test_the_apps_own_tab_has_no_message_box(
    app: App, connect: Any, client: WebClient, open_page: Any
) -> None:
    """As the manifest has it: the app's messages are read-only."""
    connect(app)
    channel = client.conversations_open(users=["U0ANNA"])["channel"]["id"]
    client.chat_postMessage(channel=channel, text="a word to you alone")
    page = open_page()
    page.locator(".rail-item", has_text="DriftCatcher").click()
    page.get_by_role("tab", name="Messages").click()
    page.get_by_text("a word to you alone").wait_for()
    expect(page.locator("#channel .composer")).to_be_hidden()
