"""The fault proxy in front of the embedded workspace, seen by a real slack_sdk client."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import RemoteDisconnected

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from bot.workspace import Person, User, Workspace
from tests.journeys.faults import Call, FaultProxy

POST = "chat.postMessage"


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace([User("U0ANNA", "anna", "Anna")], ["alerts"]) as running:
        yield running


@pytest.fixture
def anna(workspace: Workspace) -> Person:
    return workspace.person("U0ANNA")


@pytest.fixture
def proxy(workspace: Workspace) -> Iterator[FaultProxy]:
    with FaultProxy(workspace.api_url) as running:
        yield running


@pytest.fixture
def client(workspace: Workspace, proxy: FaultProxy) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=proxy.api_url, timeout=5, retry_handlers=[])


def seen(anna: Person, text: str) -> int:
    return sum(message["text"] == text for message in anna.messages("alerts"))


def test_calls_pass_when_nothing_was_ordered(client: WebClient, proxy: FaultProxy, anna: Person) -> None:
    assert client.auth_test()["ok"]
    client.chat_postMessage(channel="alerts", text="through <&> über")
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client.chat_postMessage(channel="nowhere", text="x")

    assert seen(anna, "through <&> über") == 1
    assert proxy.calls == [Call("auth.test", 200, True), Call(POST, 200, True), Call(POST, 200, True)]


def test_files_pass_too(client: WebClient, anna: Person) -> None:
    answer = client.files_upload_v2(
        channel=anna.state()["channels"][0]["id"], content=b"rows", filename="r.csv"
    )
    assert anna.file(answer["files"][0]["id"]) == b"rows"


def test_a_rate_limit_names_the_wait_and_the_next_call_passes(
    client: WebClient, proxy: FaultProxy, anna: Person
) -> None:
    proxy.fail_next(POST, 429, retry_after=7)

    with pytest.raises(SlackApiError, match="ratelimited") as limited:
        client.chat_postMessage(channel="alerts", text="limited")
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "7")
    assert seen(anna, "limited") == 0
    client.chat_postMessage(channel="alerts", text="limited")
    assert seen(anna, "limited") == 1


def test_the_sdk_waits_and_tries_again(client: WebClient, proxy: FaultProxy, anna: Person) -> None:
    client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
    proxy.fail_next(POST, 429, retry_after=0, times=2)

    client.chat_postMessage(channel="alerts", text="in the end")

    assert seen(anna, "in the end") == 1
    assert [call.status for call in proxy.calls] == [429, 429, 200]


@pytest.mark.parametrize(("applied", "posted"), [(False, 0), (True, 1)])
def test_a_server_error_loses_the_call_or_only_its_answer(
    client: WebClient, proxy: FaultProxy, anna: Person, applied: bool, posted: int
) -> None:
    proxy.fail_next(POST, 500, applied=applied)

    with pytest.raises(SlackApiError, match="internal_error"):
        client.chat_postMessage(channel="alerts", text=f"error {applied}")
    assert seen(anna, f"error {applied}") == posted
    assert proxy.calls == [Call(POST, 500, applied)]


def test_a_silent_slack_runs_into_the_callers_time_out(
    workspace: Workspace, proxy: FaultProxy, anna: Person
) -> None:
    hasty = WebClient(token=workspace.bot_token, base_url=proxy.api_url, timeout=1, retry_handlers=[])
    proxy.hang_next(POST, seconds=60)

    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel="alerts", text="silence")
    assert hasty.auth_test()["ok"]
    assert seen(anna, "silence") == 0


@pytest.mark.parametrize(("applied", "posted"), [(False, 0), (True, 1)])
def test_a_dropped_connection_loses_the_call_or_only_its_answer(
    client: WebClient, proxy: FaultProxy, anna: Person, applied: bool, posted: int
) -> None:
    proxy.drop_next(POST, applied=applied)

    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel="alerts", text=f"dropped {applied}")
    assert seen(anna, f"dropped {applied}") == posted
    assert proxy.calls == [Call(POST, 0, applied)]


def test_other_methods_are_left_alone(client: WebClient, proxy: FaultProxy) -> None:
    proxy.fail_next("chat.update", 500)
    assert client.auth_test()["ok"]
