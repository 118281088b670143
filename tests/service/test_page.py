"""The page's server: what it answers, and what it refuses whatever it is sent."""

import contextlib
import http.client
import io
import json
import socket
import threading
import wave
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_kws.service.config import PageConfig
from edge_kws.service.page import Page
from edge_kws.service.page import server as server_module
from edge_kws.service.page.connection import Connection
from edge_kws.service.page.guard import Guard, Rules
from edge_kws.service.page.hosts import Hosts
from edge_kws.service.page.rate import RateLimit
from edge_kws.service.page.support import hide_secrets
from edge_kws.service.page.token import Lock
from tests.service.page_world import HOST, OWN, TOKEN, ask, free_port, open_service, said, unlimited

PATHS = ["/", "/page.css", "/api/login", "/api/about", "/api/events", "/api/changes", "/api/clips/{}", "/api/events/{}/verdict",
         "/api/missed", "/api/threshold", "/api/support", "/api/live"]  # fmt: skip
POSTS = ["/api/login", "/api/events/1/verdict", "/api/missed", "/api/threshold"]
HOSTILE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service, store = open_service(tmp_path_factory.mktemp("page"), clips=True)
    yield service
    service.stop()
    store.close()


@pytest.fixture(scope="module")
def application(service):
    return unlimited(service)


def post(application, path, value):
    return said(ask(application, "POST", path, body=json.dumps(value).encode()))


def newest(application):
    status, events = said(ask(application, "GET", "/api/events"))
    assert status == 200
    return events[0]


def wait_for_clip(service, event):
    for _ in range(500):
        found = service.store.event(event)
        if found is not None and found.has_clip:
            return
        threading.Event().wait(0.02)
    raise AssertionError("no clip was kept")


# ---- what it answers ----


def test_events_and_their_audio(application):
    event = newest(application)
    assert (event["label"], event["input"], event["pack"]) == ("loud", "kitchen", "loudness")
    status, headers, body = ask(application, "GET", f"/api/clips/{event['id']}")
    assert (status, headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(body)) as clip:
        assert (clip.getframerate(), clip.getnchannels()) == (16_000, 1)
    assert said(ask(application, "GET", "/api/events", query=f"before={event['id']}".encode()))[1][0]["id"] < event["id"]


def test_false_wake_files_the_clip_as_hard_negative_and_back(application, service):
    oldest = said(ask(application, "GET", "/api/events"))[1][-1]["id"]
    wait_for_clip(service, oldest)
    status, event = post(application, f"/api/events/{oldest}/verdict", {"verdict": "false_wake"})
    assert (status, event["verdict"], event["has_clip"]) == (200, "false_wake", True)
    filed = service.config.state_folder / "filed" / "loudness" / "_unknown_" / f"{oldest:013d}.wav"
    assert filed.exists()
    assert post(application, f"/api/events/{oldest}/verdict", {"verdict": None})[1]["verdict"] is None
    assert not filed.exists()


def test_missed_files_the_last_seconds_as_positive(application, service):
    status, answer = post(application, "/api/missed", {"input": "kitchen", "pack": "loudness", "label": "loud"})
    assert (status, answer["kept"]) == (200, True)
    assert (service.config.state_folder / "filed" / "loudness" / "loud" / f"{answer['id']:013d}.wav").exists()


def test_threshold_is_in_force_at_once_and_goes_back(application, service):
    assert post(application, "/api/threshold", {"input": "kitchen", "pack": "loudness", "threshold": 0.75}) == (200, {})
    assert service.snapshot().inputs[0].packs[0].threshold == 0.75
    post(application, "/api/threshold", {"input": "kitchen", "pack": "loudness", "threshold": None})
    assert service.snapshot().inputs[0].packs[0].threshold == pytest.approx(0.6)


def test_about_says_what_thresholds_are_expected_to_cost(application):
    status, about = said(ask(application, "GET", "/api/about"))
    assert status == 200
    spans = about["packs"]["kitchen/loudness"]["expectation"]
    assert [span["start"] for span in spans] == [0.0, 0.6, 0.6]
    assert all(span["text"] for span in spans)


def members(application, query):
    status, headers, body = ask(application, "GET", "/api/support", query=query)
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")
    return {name.removeprefix("edge_kws-support/") for name in zipfile.ZipFile(io.BytesIO(body)).namelist()}


def test_support_bundle_holds_audio_only_when_asked(application, service):
    wait_for_clip(service, said(ask(application, "GET", "/api/events"))[1][-1]["id"])
    without = members(application, b"")
    assert {"state.json", "config.json", "events.jsonl"} <= without
    assert not any(name.startswith("audio/") for name in without)
    assert any(name.endswith(".wav") for name in members(application, b"audio=1"))


def test_support_bundle_tells_no_secret():
    sinks = [
        {"kind": "webhook", "url": "https://user:pw@example.org/SECRET?k=SECRET", "headers": {"Authorization": "SECRET"}},
        {"kind": "command", "command": ["/bin/tell", "--key=SECRET", "SECRET"]},
        {"kind": "mqtt", "host": "broker", "username": "SECRET"},
    ]
    shown = json.dumps(hide_secrets({"sinks": sinks}))
    assert "SECRET" not in shown
    assert "pw" not in shown
    assert all(word in shown for word in ("example.org", "/bin/tell", "broker"))


# ---- what it refuses ----


@pytest.mark.parametrize("path", PATHS)
def test_strangers_names_and_pages_get_nothing(application, path):
    path = path.format(1)
    method = "POST" if path in POSTS else "GET"
    for change in ({"host": "evil.example:8765"}, {"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        status, headers, body = ask(application, method, path, headers=OWN | change, body=b"{}")
        assert status in (403, 421)
        assert "access-control-allow-origin" not in headers
        assert json.loads(body).keys() == {"error"}


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/api/") and path != "/api/login"])
def test_without_the_token_nothing_but_the_empty_page(application, path):
    path = path.format(1)
    method = "POST" if path in POSTS else "GET"
    for value in ("", "Bearer", "Bearer x", f"Basic {TOKEN}"):
        assert ask(application, method, path, headers=OWN | {"authorization": value}, body=b"{}")[0] == 401
    assert ask(application, "GET", "/", headers={"host": HOST})[0] == 200


def test_login_gives_a_cookie_scripts_and_other_sites_cannot_use(application):
    bare = {name: value for name, value in OWN.items() if name != "authorization"}
    assert ask(application, "POST", "/api/login", headers=bare, body=b'{"token": "wrong"}')[0] == 403
    status, headers, _ = ask(application, "POST", "/api/login", headers=bare, body=json.dumps({"token": TOKEN}).encode())
    cookie = headers["set-cookie"]
    assert status == 200
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert ask(application, "GET", "/api/about", headers=bare | {"cookie": cookie.split(";")[0]})[0] == 200


def test_every_answer_carries_the_policy(application):
    for path in ("/", "/page.js", "/api/events", "/nothing", "/../../etc/passwd", "/static/../api.py"):
        _, headers, _ = ask(application, "GET", path)
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_page_has_no_inline_script_or_style_and_asks_nobody_else(application):
    html = ask(application, "GET", "/")[2].decode()
    assert "<style" not in html
    assert " style=" not in html
    assert "://" not in html
    assert html.count("<script") == html.count('<script type="module" src="/') == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "\xff"])
def test_other_methods_are_refused(application, method):
    assert ask(application, method, "/api/threshold", body=b"{}")[0] == 405


def test_bodies_and_addresses_are_bounded(application):
    many = [b"x" * 1000] * 100
    assert ask(application, "POST", "/api/threshold", body=many)[0] == 413
    assert ask(application, "POST", "/api/threshold", headers=OWN | {"content-length": "9" * 30}, body=b"{}")[0] == 413
    assert ask(application, "POST", "/api/threshold", headers=OWN | {"content-length": "-1"}, body=b"{}")[0] == 413
    assert ask(application, "GET", "/api/events", query=b"a" * 2000)[0] == 414
    assert ask(application, "POST", "/api/threshold", headers=OWN | {"content-type": "text/plain"}, body=b"{}")[0] == 415


@pytest.mark.parametrize("identity", ["0", "-1", "1e3", "99999999999999999", "9" * 900, "%00", "..", "\u0661", "1.wav", "abc", "1;drop"])
def test_numbers_of_events_that_are_none(application, identity):
    for method, path in (("GET", f"/api/clips/{identity}"), ("POST", f"/api/events/{identity}/verdict")):
        status, answer = said(ask(application, method, path, body=b'{"verdict": null}' if method == "POST" else b""))
        assert status in (400, 404)
        assert answer["error"]


KEYS = ["token", "verdict", "input", "pack", "label", "threshold", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["token", "verdict", "input", "pack", "label", "threshold", "x"]), inner)
    ),
    max_leaves=8,
)


@HOSTILE
@given(path=st.sampled_from(POSTS), value=JSON)
def test_any_json_is_answered_in_one_line(application, path, value):
    status, _, body = ask(application, "POST", path, body=json.dumps(value).encode("utf-8", "replace")[:4096])
    assert status in (200, 400, 403, 404)
    if status != 200:
        assert "\n" not in json.loads(body)["error"]


@HOSTILE
@given(path=st.sampled_from(POSTS), body=st.binary(max_size=200) | st.integers(1, 4000).map(lambda depth: b"[" * depth))
def test_any_bytes_are_answered_in_one_line(application, path, body):
    status, answer = said(ask(application, "POST", path, body=body))
    assert status in (400, 403)
    assert answer["error"]


@HOSTILE
@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    path=st.text(max_size=60) | st.sampled_from(PATHS[:-1]).flatmap(lambda path: st.text(max_size=20).map(lambda text: path.format(text))),
    query=st.binary(max_size=100),
)
def test_any_address_is_answered(application, method, path, query):
    assert ask(application, method, path, query=query, body=b"{}" if method == "POST" else b"")[0] < 500


HEADERS = [
    "host",
    "origin",
    "cookie",
    "authorization",
    "content-type",
    "content-length",
    "sec-fetch-site",
    "sec-fetch-mode",
    "if-none-match",
    "range",
]


@HOSTILE
@given(
    path=st.sampled_from(PATHS[:-1]),
    headers=st.dictionaries(st.sampled_from(HEADERS), st.text(st.characters(max_codepoint=255), max_size=60), max_size=5),
)
def test_any_headers_are_answered(application, path, headers):
    assert ask(application, "GET", path.format(1), headers=OWN | headers)[0] < 500


# ---- the real server ----


@pytest.fixture
def page(tmp_path):
    """Starts the page of a service of its own, as the config says."""
    running = []

    def start(**config):
        service, store = open_service(tmp_path, rounds=1, page=PageConfig(**{"port": free_port()} | config))
        page = Page(service, service.config.page, tmp_path / "state")
        running.append((page, service, store))
        page.start()
        return page

    yield start
    for page, service, store in running:
        page.stop()
        service.stop()
        store.close()


def request(page, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", page._config.port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer, data


def test_stream_brings_state_columns_and_records(page):
    running = page()
    connection = http.client.HTTPConnection("127.0.0.1", running._config.port, timeout=30)
    connection.request("GET", "/api/live")
    answer = connection.getresponse()
    assert answer.getheader("content-type") == "text/event-stream"
    kinds = set()
    while kinds < {"state", "columns"}:
        line = answer.readline().decode()
        assert line, "the stream ended"
        if line.startswith("event: "):
            kinds.add(line[7:].strip())
    running.stop()  # says goodbye: the stream ends by itself
    while answer.readline():
        pass


def test_only_so_many_streams(page):
    running = page()
    streams = []
    for _ in range(8):
        connection = http.client.HTTPConnection("127.0.0.1", running._config.port, timeout=30)
        connection.request("GET", "/api/live")
        answer = connection.getresponse()
        answer.readline()
        streams.append((connection, answer))
    assert request(running, "GET", "/api/live")[0] == 503
    for connection, answer in streams:
        answer.close()
        connection.close()


def test_too_many_requests_and_attempts_are_told_to_wait(service):
    hosts, lock = Hosts.of("127.0.0.1", 8765, ()), Lock(TOKEN)
    rules = Rules(hosts, lock, RateLimit(0, 4, clock=lambda: 0.0), RateLimit(0, 2, clock=lambda: 0.0))
    guard = Guard(unlimited(service)._app, rules)
    attempts = [ask(guard, "POST", "/api/login", body=b'{"token": "guess"}')[0] for _ in range(3)]
    assert attempts == [403, 403, 429]
    assert ask(guard, "GET", "/page.css")[0] == 200
    status, headers, _ = ask(guard, "GET", "/page.css")
    assert (status, headers["retry-after"]) == (429, "10")


def test_beyond_loopback_a_token_is_asked_for_and_printed_once(page, capfd):
    running = page(host="0.0.0.0")
    token = (running._state_folder / "page_token").read_text().strip()
    assert capfd.readouterr().err.count(token) == 1
    assert request(running, "GET", "/api/events")[0] == 401
    assert request(running, "GET", "/api/events", Authorization=f"Bearer {token}")[0] == 200
    running.stop()
    again = Page(running._service, running._config, running._state_folder)
    again.start()
    again.stop()
    assert token not in capfd.readouterr().err


def test_behind_a_proxy_the_token_is_asked_for_too(page):
    running = page(hosts=("kws.example.org",))
    assert request(running, "GET", "/api/events", Host="kws.example.org")[0] == 401
    assert request(running, "GET", "/", Host="kws.example.org")[0] == 200
    assert request(running, "GET", "/", Host="other.example.org")[0] == 421


def test_port_in_use_is_said_once_and_tried_again(page, monkeypatch, capfd):
    monkeypatch.setattr(server_module, "_RETRY_S", 0.05)
    running = page()
    second = Page(running._service, running._config, running._state_folder)
    with running._service.subscribe() as records:
        second.start()
        assert "Address already in use" in records.get(30).to_json()["detail"]
        running.stop()
        while second._trouble:
            threading.Event().wait(0.02)
    assert capfd.readouterr().err.count("Address already in use") == 1
    assert request(second, "GET", "/")[0] == 200
    second.stop()


def exchange(page, data):
    """Bytes in, bytes out, until the server closes."""
    with socket.create_connection(("127.0.0.1", page._config.port), timeout=30) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
     b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 20_000 + b"\r\n\r\n"],
    ids=["tls", "no-version", "no-host", "two-hosts", "long-target", "two-lengths", "long-header"],
)  # fmt: skip
def test_what_is_no_http_is_refused_and_the_page_goes_on(page, data):
    running = page()
    assert exchange(running, data).startswith(b"HTTP/1.1 4")
    assert request(running, "GET", "/")[0] == 200


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: "], ids=["nothing", "half-a-request"])
def test_those_who_ask_nothing_are_cut_off(page, monkeypatch, data):
    monkeypatch.setattr(Connection, "patience_s", 0.2)
    running = page()
    with contextlib.suppress(ConnectionResetError):
        assert exchange(running, data) == b""
    assert request(running, "GET", "/")[0] == 200
