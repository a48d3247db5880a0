"""The Web API through the real slack_sdk client."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.workspace import Person, User, Workspace

CHANNEL = "C000000001"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as failure:
        call(**arguments)
    return str(failure.value.response["error"])


def test_auth_test_names_the_bot(client: WebClient) -> None:
    answer = client.auth_test()
    assert answer["user_id"].startswith("U")
    assert answer["bot_id"].startswith("B")
    assert client.bots_info(bot=answer["bot_id"])["bot"]["name"] == "DriftCatcher"
    assert client.team_info()["team"]["id"] == answer["team_id"]


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth")])
def test_a_bad_token_is_refused(workspace: Workspace, token: str, error: str) -> None:
    assert refused(WebClient(token=token, base_url=workspace.api_url).auth_test) == error


def test_each_kind_of_token_opens_its_own_doors(workspace: Workspace, client: WebClient) -> None:
    app_client = WebClient(token=workspace.app_token, base_url=workspace.api_url)
    assert refused(app_client.chat_postMessage, channel=CHANNEL, text="x") == "not_allowed_token_type"
    assert refused(client.apps_connections_open, app_token=workspace.bot_token) == "not_allowed_token_type"
    assert app_client.apps_connections_open(app_token=workspace.app_token)["url"].startswith(
        "ws://127.0.0.1:"
    )


def test_people_groups_and_channels(client: WebClient) -> None:
    assert client.users_info(user="U0ANNA")["user"]["real_name"] == "Anna Approver"
    assert refused(client.users_info, user="U0NOBODY") == "user_not_found"
    assert [m["id"] for m in client.users_list()["members"]][:2] == ["U0ANNA", "U0VIC"]
    assert client.usergroups_users_list(usergroup="S0OWNERS")["users"] == ["U0ANNA"]
    assert refused(client.usergroups_users_list, usergroup="S0NONE") == "no_such_subteam"
    assert [c["name"] for c in client.conversations_list()["channels"]] == ["ml-alerts", "ml-reports"]
    assert client.conversations_info(channel=CHANNEL)["channel"]["is_member"] is True
    assert "U0VIC" in client.conversations_members(channel=CHANNEL)["members"]


def test_post_update_and_delete(client: WebClient, anna: Person) -> None:
    posted = client.chat_postMessage(
        channel="#ml-alerts", text="one", metadata={"event_type": "t", "event_payload": {"id": 7}}
    )
    client.chat_update(channel=CHANNEL, ts=posted["ts"], text="two")
    (message,) = anna.messages("ml-alerts")
    assert (message["text"], message["metadata"]["event_payload"]) == ("two", {"id": 7})
    assert message["edited"]["user"] == message["user"]
    client.chat_delete(channel=CHANNEL, ts=posted["ts"])
    assert anna.messages("ml-alerts") == []
    assert refused(client.chat_update, channel=CHANNEL, ts=posted["ts"], text="x") == "message_not_found"


def test_update_keeps_blocks_unless_new_text_comes_alone(client: WebClient, anna: Person, kit: Any) -> None:
    ts = client.chat_postMessage(channel=CHANNEL, text="a", blocks=[kit.section("a")])["ts"]
    client.chat_update(channel=CHANNEL, ts=ts, text="b", blocks=[kit.section("b")])
    assert "edited" not in anna.messages(CHANNEL)[0]
    client.chat_update(channel=CHANNEL, ts=ts, text="c")
    assert "blocks" not in anna.messages(CHANNEL)[0]


def test_somebody_elses_message_cannot_be_changed(client: WebClient, anna: Person) -> None:
    ts = anna.say("ml-alerts", "mine")
    assert refused(client.chat_update, channel=CHANNEL, ts=ts, text="x") == "cant_update_message"
    assert refused(client.chat_delete, channel=CHANNEL, ts=ts) == "cant_delete_message"


def test_outside_a_channel_the_bot_is_refused_until_it_joins(workspace: Workspace, client: WebClient) -> None:
    workspace.remove_bot("ml-alerts")
    assert refused(client.chat_postMessage, channel=CHANNEL, text="x") == "not_in_channel"
    client.conversations_join(channel=CHANNEL)
    assert client.chat_postMessage(channel=CHANNEL, text="x")["ok"]
    assert refused(client.chat_postMessage, channel="C0NOWHERE", text="x") == "channel_not_found"


def test_threads(client: WebClient, anna: Person) -> None:
    parent = client.chat_postMessage(channel=CHANNEL, text="alert")["ts"]
    reply = client.chat_postMessage(channel=CHANNEL, text="details", thread_ts=parent)["ts"]
    assert [m["text"] for m in client.conversations_replies(channel=CHANNEL, ts=parent)["messages"]] == [
        "alert",
        "details",
    ]
    assert [m["text"] for m in anna.replies("ml-alerts", parent)] == ["details"]
    assert [m["reply_count"] for m in anna.messages("ml-alerts")] == [1]
    assert (
        refused(client.chat_postMessage, channel=CHANNEL, text="x", thread_ts=reply)
        == "cannot_reply_to_message"
    )
    assert (
        refused(client.chat_postMessage, channel=CHANNEL, text="x", thread_ts="1.000001")
        == "thread_not_found"
    )
    anna.delete("ml-alerts", parent)
    assert anna.messages("ml-alerts")[0]["subtype"] == "tombstone"
    assert refused(client.chat_update, channel=CHANNEL, ts=parent, text="x") == "message_not_found"


def test_history_pages_newest_first(client: WebClient) -> None:
    for number in range(5):
        client.chat_postMessage(channel=CHANNEL, text=str(number))
    pages = [
        [m["text"] for m in page["messages"]]
        for page in client.conversations_history(channel=CHANNEL, limit=2)
    ]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


def test_an_ephemeral_message_is_seen_by_one_person_only(
    client: WebClient, anna: Person, vic: Person
) -> None:
    ts = client.chat_postEphemeral(channel=CHANNEL, user="U0VIC", text="psst")["message_ts"]
    assert [m["text"] for m in vic.ephemerals("ml-alerts")] == ["psst"]
    assert anna.ephemerals("ml-alerts") == []
    assert client.conversations_history(channel=CHANNEL)["messages"] == []
    assert refused(client.chat_update, channel=CHANNEL, ts=ts, text="x") == "message_not_found"
    assert refused(client.chat_postEphemeral, channel=CHANNEL, user="U0X", text="x") == "user_not_in_channel"


def test_reactions(client: WebClient, anna: Person) -> None:
    ts = anna.say("ml-alerts", "look")
    client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    assert refused(client.reactions_add, channel=CHANNEL, timestamp=ts, name="eyes") == "already_reacted"
    anna.react("ml-alerts", ts, "eyes")
    assert anna.messages("ml-alerts")[0]["reactions"][0]["count"] == 2
    client.reactions_remove(channel=CHANNEL, timestamp=ts, name="eyes")
    assert refused(client.reactions_remove, channel=CHANNEL, timestamp=ts, name="eyes") == "no_reaction"


def test_files_upload_v2_with_several_files_in_a_thread(client: WebClient, anna: Person) -> None:
    ts = client.chat_postMessage(channel=CHANNEL, text="alert")["ts"]
    uploads = [{"content": PNG + bytes([n]), "filename": f"{n}.png", "title": f"Plot {n}"} for n in range(2)]
    answer = client.files_upload_v2(
        channel=CHANNEL, thread_ts=ts, file_uploads=uploads, initial_comment="plots"
    )
    (reply,) = anna.replies("ml-alerts", ts)
    assert [file["title"] for file in reply["files"]] == ["Plot 0", "Plot 1"]
    assert anna.file(reply["files"][1]["id"]) == PNG + b"\x01"
    assert client.files_info(file=answer["files"][0]["id"])["file"]["mimetype"] == "image/png"


def test_the_bot_downloads_what_a_person_shared(
    workspace: Workspace, client: WebClient, anna: Person
) -> None:
    file_id = anna.upload("ml-alerts", 'labels "v1".csv', b"a,label\n1,BENIGN\n", text="here")
    url = client.files_info(file=file_id)["file"]["url_private"].replace('"', "%22").replace(" ", "%20")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {workspace.bot_token}"})
    with urllib.request.urlopen(request) as response:
        assert response.read() == b"a,label\n1,BENIGN\n"
        assert response.headers["Content-Disposition"].startswith("attachment")


def test_an_upload_needs_a_real_destination(client: WebClient) -> None:
    assert (
        refused(client.files_upload_v2, channel="C0NOWHERE", content=PNG, filename="a.png")
        == "channel_not_found"
    )
    assert (
        refused(client.files_completeUploadExternal, files=[{"id": "F0", "title": "x"}]) == "file_not_found"
    )


def test_an_image_block_needs_an_uploaded_file(client: WebClient, anna: Person) -> None:
    image = {"type": "image", "alt_text": "plot", "slack_file": {"id": "F0NOTHERE"}}
    assert refused(client.chat_postMessage, channel=CHANNEL, text="x", blocks=[image]) == "invalid_blocks"
    file = client.files_upload_v2(content=PNG, filename="a.png")["file"]
    image["slack_file"] = {"id": file["id"]}
    client.chat_postMessage(channel=CHANNEL, text="x", blocks=[image])
    assert len(anna.messages("ml-alerts")) == 1


def test_invalid_blocks_say_where(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as failure:
        client.chat_postMessage(
            channel=CHANNEL,
            text="x",
            blocks=[{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        )
    response = failure.value.response
    assert response["error"] == "invalid_blocks"
    assert "/blocks/0/text/text" in response["response_metadata"]["messages"][0]


def test_json_and_form_bodies_mean_the_same(client: WebClient, anna: Person, kit: Any) -> None:
    blocks = [kit.section("hello")]
    client.api_call("chat.postMessage", json={"channel": CHANNEL, "text": "x", "blocks": blocks})
    client.api_call(
        "chat.postMessage", data={"channel": CHANNEL, "text": "x", "blocks": str(blocks).replace("'", '"')}
    )
    first, second = anna.messages("ml-alerts")
    assert first["blocks"][0]["text"] == second["blocks"][0]["text"] == blocks[0]["text"]


def test_a_direct_message(client: WebClient, anna: Person, vic: Person) -> None:
    channel = client.conversations_open(users="U0ANNA")["channel"]["id"]
    client.chat_postMessage(channel=channel, text="only you")
    client.chat_postMessage(channel="U0ANNA", text="again")
    assert [m["text"] for m in anna.direct_messages()] == ["only you", "again"]
    assert vic.direct_messages() == []


def test_a_permalink_leads_to_the_page(client: WebClient, anna: Person) -> None:
    ts = anna.say("ml-alerts", "look")
    link = client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]
    with urllib.request.urlopen(link) as response:
        assert b"/page/js/app.js" in response.read()


def test_faults_come_when_asked_for(workspace: Workspace, client: WebClient, anna: Person) -> None:
    workspace.fail_next("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(SlackApiError) as failure:
        client.chat_postMessage(channel=CHANNEL, text="x")
    assert failure.value.response.status_code == 429
    assert failure.value.response.headers["Retry-After"] == "7"
    workspace.fail_next("chat.postMessage", status=200, error="msg_too_long", times=2)
    assert [refused(client.chat_postMessage, channel=CHANNEL, text="x") for _ in range(2)] == [
        "msg_too_long"
    ] * 2
    assert anna.messages("ml-alerts") == []
    workspace.fail_next("chat.postMessage", status=500, applied=True)
    assert refused(client.chat_postMessage, channel=CHANNEL, text="lost answer") == "internal_error"
    assert [m["text"] for m in anna.messages("ml-alerts")] == ["lost answer"]


def test_every_call_is_in_the_log_without_tokens(workspace: Workspace, client: WebClient) -> None:
    client.chat_postMessage(channel=CHANNEL, text="x")
    refused(client.chat_update, channel=CHANNEL, ts="1.000001", text="y")
    posted, updated = workspace.api_log
    assert (posted.method, posted.params["text"], posted.error) == ("chat.postMessage", "x", None)
    assert updated.error == "message_not_found"
    assert workspace.bot_token not in repr(workspace.api_log)


def test_the_workspace_keeps_its_messages_and_address_over_an_outage() -> None:
    workspace = Workspace(users=[User("U0ANNA", "anna", "Anna")], channels=["ml-alerts"])
    with workspace:
        address = workspace.page_url
        workspace.person("U0ANNA").say("ml-alerts", "before")
    with pytest.raises(OSError):
        workspace.person("U0ANNA").messages("ml-alerts")
    with workspace:
        assert workspace.page_url == address
        assert [m["text"] for m in workspace.person("U0ANNA").messages("ml-alerts")] == ["before"]
