"""Downloads over real HTTP on loopback: resumed, restarted, refused, and never left half done under the final name."""

import hashlib
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_kws.cli import data as data_cli
from edge_kws.data import published
from edge_kws.data.download import fetch
from edge_kws.data.published import Archive, get_archive
from edge_kws.errors import ConfigError

PAYLOAD = hashlib.shake_256(b"edge_kws").digest(300_000)
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()


@dataclass
class Site:
    """What the server does, and what it was asked."""

    payload: bytes = PAYLOAD
    ranges: bool = True
    etag: str | None = '"v1"'
    length: bool = True
    drop_after: list[int] = field(default_factory=list)
    """Bytes of body after which each connection in turn is cut."""
    status: list[int] = field(default_factory=list)
    """Statuses to answer first instead of the file."""
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            site.asked.append(self.headers.get("Range"))
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file.tar.gz")
                self.end_headers()
            elif self.path == "/file-scheme":
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()
            elif site.status:
                self.send_error(site.status.pop(0))
            else:
                self._send_file()

        def _send_file(self) -> None:
            start, wanted = 0, self.headers.get("Range")
            current = self.headers.get("If-Range") in (None, site.etag)
            if wanted and site.ranges and current:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(site.payload):
                    self.send_error(416)
                    return
                start -= 7 if site.wrong_range else 0
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(site.payload) - 1}/{len(site.payload)}")
            else:
                self.send_response(200)
            if site.length:
                self.send_header("Content-Length", str(len(site.payload) - start))
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            body = site.payload[start:]
            if site.drop_after:
                body = body[: site.drop_after.pop(0)]
            self.wfile.write(body)

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}/file.tar.gz"
        yield site
        server.shutdown()
        thread.join()


def get(site: Site, dest: Path, **options: Any) -> Path:
    return fetch(site.url, dest, options.pop("sha256", SHA256), retry_wait_s=0.0, attempts=3, **options)


def only_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_file_with_progress(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    dest = get(site, tmp_path / "new" / "f", progress=lambda done, total: seen.append((done, total)), size_bytes=len(PAYLOAD))
    assert dest.read_bytes() == PAYLOAD
    assert only_files(tmp_path / "new") == ["f"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(PAYLOAD), len(PAYLOAD))


def test_file_that_is_there_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(PAYLOAD)
    get(site, tmp_path / "f")
    assert site.asked == []


def test_other_file_of_that_name_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"expected SHA-256 .* delete it"):
        get(site, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"mine"


def test_broken_connections_continue_where_they_were(site: Site, tmp_path: Path) -> None:
    site.drop_after = [100_000, 50_000, 50_000, 1]
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD
    assert site.asked == [None, "bytes=100000-", "bytes=150000-", "bytes=200000-", "bytes=200001-"]


def test_second_run_continues_the_first(site: Site, tmp_path: Path) -> None:
    site.drop_after = [100_000, 0, 0, 0]
    with pytest.raises(
        ConfigError, match=r"ended at 100000 of 300000 bytes \(3 tries, 100000 bytes so far\); run this again, it continues"
    ):
        get(site, tmp_path / "f")
    assert only_files(tmp_path) == ["f.part", "f.part.json"]
    site.asked.clear()
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD
    assert site.asked == ["bytes=100000-"]
    assert only_files(tmp_path) == ["f"]


@pytest.mark.parametrize("etag", ['"v1"', 'W/"weak"', None])
def test_server_without_ranges_starts_again(site: Site, tmp_path: Path, etag: str | None) -> None:
    site.ranges, site.etag, site.drop_after = False, etag, [200_000, 100]
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD


def test_server_without_ranges_that_always_breaks_off_is_given_up(site: Site, tmp_path: Path) -> None:
    site.ranges, site.drop_after = False, [200_000] * 9
    with pytest.raises(ConfigError, match="3 tries"):
        get(site, tmp_path / "f")
    assert len(site.asked) == 4


def test_changed_file_starts_again(site: Site, tmp_path: Path) -> None:
    site.payload, site.etag, site.drop_after = PAYLOAD[::-1], '"v0"', [100_000, 0, 0, 0]
    with pytest.raises(ConfigError):
        get(site, tmp_path / "f")
    site.payload, site.etag = PAYLOAD, '"v1"'
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD


def test_part_of_another_address_is_not_continued(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text('{"url": "http://elsewhere/", "validator": null, "total": 300000}')
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD
    (tmp_path / "g.part").write_bytes(b"x" * 1000)
    (tmp_path / "g.part.json").write_text("[not json")
    assert get(site, tmp_path / "g").read_bytes() == PAYLOAD
    assert site.asked == [None, None]


def test_part_longer_than_the_file_starts_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 400_000)
    (tmp_path / "f.part.json").write_text(f'{{"url": "{site.url}", "validator": null, "total": null}}')
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD


def test_wrong_range_is_not_glued_on(site: Site, tmp_path: Path) -> None:
    site.wrong_range, site.drop_after = True, [100_000]
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD


def test_unknown_length(site: Site, tmp_path: Path) -> None:
    site.length = False
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD
    with pytest.raises(ConfigError, match="expected 1000 bytes, found more"):
        get(site, tmp_path / "g", size_bytes=1000)
    assert only_files(tmp_path) == ["f"]


def test_corrupted_payload_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.payload = PAYLOAD[:-1] + b"?"
    with pytest.raises(ConfigError, match=rf"expected SHA-256 {SHA256}, found {hashlib.sha256(site.payload).hexdigest()}; it was deleted"):
        get(site, tmp_path / "f")
    assert only_files(tmp_path) == []


def test_wrong_size_is_refused_before_the_body(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 5 bytes, found 300000; the server's file has changed, or a proxy"):
        get(site, tmp_path / "f", size_bytes=5)
    assert only_files(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusals_are_final(site: Site, tmp_path: Path, status: int) -> None:
    site.status = [status]
    with pytest.raises(ConfigError, match=f"found HTTP {status}"):
        get(site, tmp_path / "f")
    assert len(site.asked) == 1
    assert only_files(tmp_path) == []


def test_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.status = [503, 429]
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD


def test_redirects(site: Site, tmp_path: Path) -> None:
    site.url = site.url.replace("file.tar.gz", "moved")
    assert get(site, tmp_path / "f").read_bytes() == PAYLOAD
    site.url = site.url.replace("moved", "file-scheme")
    with pytest.raises(ConfigError):
        get(site, tmp_path / "g")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "speech_commands.tar.gz", "http:///x"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="expected an http"):
        fetch(url, tmp_path / "f", SHA256)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with pytest.raises(ConfigError, match=r"no connection .*2 tries"):
            fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/f", tmp_path / "f", SHA256, attempts=2, retry_wait_s=0.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux), a device that is always full")
def test_full_disk(site: Site, tmp_path: Path) -> None:
    (tmp_path / "f.part").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=r"f: the disk is full .* make room and run this again"):
        get(site, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write there"):
        get(site, tmp_path / "file" / "f")


def small_speech_commands() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in (
            "_background_noise_/tap.wav",
            "validation_list.txt",
            "testing_list.txt",
            "yes/004ae714_nohash_0.wav",
            "no/004ae714_nohash_0.wav",
        ):
            member = tarfile.TarInfo("./" + name)
            tar.addfile(member, io.BytesIO())
    return buffer.getvalue()


@pytest.fixture
def small(site: Site) -> Archive:
    site.payload = small_speech_commands()
    sha256 = hashlib.sha256(site.payload).hexdigest()
    official = published.SPEECH_COMMANDS
    return Archive(official.name, official.title, site.url, sha256, len(site.payload), official.folder, official.landmarks)


def test_data_set_comes_into_its_folder_once(site: Site, small: Archive, tmp_path: Path) -> None:
    stages: list[str] = []
    root = get_archive(small, tmp_path, lambda stage, done, total: stages.append(stage))
    assert (root / "yes" / "004ae714_nohash_0.wav").is_file()
    assert only_files(tmp_path) == ["speech_commands"]
    assert stages[0] == "download"
    assert stages[-1] == "unpack"
    assert get_archive(small, tmp_path) == root
    assert len(site.asked) == 1


def test_interrupted_unpacking_starts_from_the_archive(site: Site, small: Archive, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "unpack":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_archive(small, tmp_path, stop)
    assert only_files(tmp_path) == ["file.tar.gz"]
    get_archive(small, tmp_path, keep_archive=True)
    assert only_files(tmp_path) == ["file.tar.gz", "speech_commands"]
    assert len(site.asked) == 1


def test_folder_of_something_else_is_left_alone(small: Archive, tmp_path: Path) -> None:
    (tmp_path / "speech_commands").mkdir()
    (tmp_path / "speech_commands" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="found a folder without _background_noise_; move it away"):
        get_archive(small, tmp_path)


def test_command_says_where_and_what_next(small: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SPEECH_COMMANDS", small)
    result = CliRunner().invoke(data_cli.data, ["get", "speech-commands", "--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"{tmp_path}{os.sep}speech_commands: 2 clips of 2 words (2 train, 0 validation, 0 test)" in result.output
    assert f"next: edge-kws train recipes/commands.toml --data {tmp_path}" in result.output


def test_command_knows_its_data_sets(tmp_path: Path) -> None:
    result = CliRunner().invoke(data_cli.data, ["get", "imagenet", "--to", str(tmp_path)])
    assert result.exit_code == 2
    assert "speech-commands" in result.output
