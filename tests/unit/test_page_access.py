"""Who gets to the page: names and origins, the token, how often."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.errors import ConfigError
from edge_kws.service.page.hosts import Hosts, is_loopback
from edge_kws.service.page.rate import RateLimit
from edge_kws.service.page.token import COOKIE, Lock, read_or_make

HOME = Hosts.of("127.0.0.1", 8765, ())
LAN = Hosts.of("0.0.0.0", 8765, ())
PROXIED = Hosts.of("127.0.0.1", 8765, ("Kws.example.org", "lan.example:8443"))


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765"])
def test_loopback_names_are_ours(host):
    assert HOME.are_ours(host)


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:8766", "evil.example:8765", "192.168.1.5:8765", "localhost:8765.evil.example", "localhost:8765@evil",
     "localhost.:8765", "localhost:8765 ", "localhost:\u0668765", "127.0.0.1:8765/"],
)  # fmt: skip
def test_other_names_are_not(host):
    assert not HOME.are_ours(host)


def test_beyond_loopback_every_address_will_do_but_no_strangers_name():
    assert LAN.are_ours("192.168.1.5:8765")
    assert LAN.are_ours("[fe80::1]:8765")
    assert not LAN.are_ours("rebound.example:8765")
    assert not LAN.are_ours("192.168.1.5:80")


def test_names_of_a_proxy_are_ours_as_host_and_as_origin():
    assert PROXIED.are_ours("kws.example.org")
    assert PROXIED.are_ours("kws.example.org:443")
    assert PROXIED.are_ours("lan.example:8443")
    assert not PROXIED.are_ours("lan.example:9000")
    assert PROXIED.is_own_origin("https://kws.example.org", "127.0.0.1:8765")
    assert not PROXIED.is_own_origin("https://other.example.org", "127.0.0.1:8765")


def test_another_machines_address_is_no_origin_of_ours():
    assert LAN.is_own_origin("http://192.168.1.5:8765", "192.168.1.5:8765")
    assert not LAN.is_own_origin("http://192.168.1.66:8765", "192.168.1.5:8765")
    assert not HOME.is_own_origin("null", "127.0.0.1:8765")
    assert not HOME.is_own_origin("http://localhost:3000", "127.0.0.1:8765")
    assert HOME.is_own_origin("http://localhost:8765", "127.0.0.1:8765")


@given(st.text(max_size=80))
def test_any_text_as_host_or_origin_is_judged_not_crashed_on(text):
    for hosts in (HOME, LAN, PROXIED):
        if hosts.are_ours(text):
            assert ":" in text or text.lower() in hosts.proxied
        if hosts.is_own_origin(text, "127.0.0.1:8765"):
            assert text.lower().startswith(("http://", "https://"))


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "kitchen.local")))


def test_token_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "page_token"
    token, new = read_or_make(path)
    assert new
    assert len(token) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make(path) == (token, False)
    assert list(tmp_path.iterdir()) == [path]


def test_token_others_may_have_read_is_refused(tmp_path):
    path = tmp_path / "page_token"
    read_or_make(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="mode 600, found 644"):
        read_or_make(path)


@pytest.mark.parametrize("content", ["", "short", "a" * 44, "ä" * 43, "a" * 42 + "\n!"])
def test_file_without_a_token_is_refused(tmp_path, content):
    path = tmp_path / "page_token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="remove the file"):
        read_or_make(path)


def test_token_file_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "page_token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        read_or_make(tmp_path / "page_token")
    assert not (tmp_path / "elsewhere").exists()


def test_token_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="can be written"):
        read_or_make(tmp_path / "gone" / "page_token")


def test_lock_opens_for_token_or_cookie_only():
    lock = Lock("t" * 43)
    assert lock.opens(f"Bearer {'t' * 43}", None)
    assert lock.opens(None, f"other=1; {COOKIE}={lock.cookie}")
    assert lock.cookie != "t" * 43
    for authorization, cookie in [
        (None, None),
        ("Bearer", None),
        (f"Basic {'t' * 43}", None),
        (None, f"{COOKIE}={'t' * 43}"),
        (None, COOKIE),
    ]:
        assert not lock.opens(authorization, cookie)
    assert not lock.opens("Bearer wrong", f"{COOKIE}={lock.cookie}")


@given(st.text(max_size=100), st.text(max_size=100))
def test_lock_stays_shut_for_any_other_text(authorization, cookies):
    assert not Lock("t" * 43).opens(authorization, cookies)
    assert not Lock("t" * 43).opens(None, cookies)


def test_rate_refills_with_time():
    now = [0.0]
    limit = RateLimit(per_second=2, burst=3, clock=lambda: now[0])
    assert [limit.allows("10.0.0.1") for _ in range(5)] == [True, True, True, False, False]
    assert limit.allows("10.0.0.2")
    now[0] = 0.5
    assert [limit.allows("10.0.0.1") for _ in range(2)] == [True, False]
    now[0] = 1000
    assert [limit.allows("10.0.0.1") for _ in range(4)] == [True, True, True, False]


def test_rate_counts_a_network_as_one_and_forgets_old_addresses():
    limit = RateLimit(per_second=0, burst=1, clock=lambda: 0.0)
    assert limit.allows("2001:db8::1")
    assert not limit.allows("2001:db8::2")
    for i in range(5000):
        limit.allows(f"10.{i % 200}.{i // 200}.1")
    assert len(limit) <= 1024
