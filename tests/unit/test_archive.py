"""Unpacking: what hostile, damaged and interrupted archives get."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_kws.data.archive import Limits, extract
from edge_kws.errors import ConfigError


def regular(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def tar_bytes(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_tar_gz(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.write_bytes(gzip.compress(tar_bytes(*members)))
    return path


def write_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return path


def zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive: Path, found: str, limits: Limits | None = None) -> None:
    """`archive`, alone in a folder, ends in an error and leaves that folder as it was."""
    with pytest.raises(ConfigError, match=found):
        extract(archive, archive.parent / "out", limits=limits or Limits())
    assert list(archive.parent.iterdir()) == [archive]


def test_plain_members(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./yes")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o700
    program = regular("./yes/1.wav", b"one")
    program[0].mode = 0o6777
    archives = (
        write_tar_gz(tmp_path / "a.tar.gz", (folder, b""), program, regular("no/deep/2.wav", b"two")),
        write_zip(tmp_path / "a.zip", ("yes/", b""), ("yes/1.wav", b"one"), ("no/deep/2.wav", b"two")),
    )
    (tmp_path / "a.tar").write_bytes(tar_bytes(program, regular("no/deep/2.wav", b"two")))
    for archive in (*archives, tmp_path / "a.tar"):
        seen: list[tuple[int, int]] = []
        extract(archive, tmp_path / "out" / archive.name, progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert tree(tmp_path / "out" / archive.name) == {"yes/1.wav": b"one", "no/deep/2.wav": b"two"}
        assert 0 < seen[-1][0] <= seen[-1][1] == archive.stat().st_size
        mode = (tmp_path / "out" / archive.name / "yes/1.wav").stat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "yes/../../evil", "yes/..", "C:\\evil", "..\\evil", "C:evil", ".", ""])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "z").mkdir()
    assert_refused(write_tar_gz(tmp_path / "t" / "a.tgz", regular("ok.wav"), regular(name)), "expected a plain file")
    if name:
        assert_refused(write_zip(tmp_path / "z" / "a.zip", ("ok.wav", b""), (name, b"x")), "expected a plain file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t", "z"]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ([special("out", tarfile.SYMTYPE, "/etc")], "a symbolic link to '/etc'"),
        ([special("up", tarfile.SYMTYPE, ".."), regular("up/evil")], "a symbolic link to '..'"),
        ([regular("a"), special("b", tarfile.SYMTYPE, "a")], "a symbolic link to 'a'"),
        ([special("hard", tarfile.LNKTYPE, "/etc/passwd")], "a hard link to '/etc/passwd'"),
        ([special("null", tarfile.CHRTYPE)], "a device"),
        ([special("disk", tarfile.BLKTYPE)], "a device"),
        ([special("pipe", tarfile.FIFOTYPE)], "a device"),
        ([regular("a"), regular("a", b"other")], "a second member of that name"),
        ([regular("a"), regular("a/b")], "cannot unpack"),
        ([regular("n" * 300)], "cannot unpack"),
    ],
)
def test_members_that_are_no_plain_files(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], found: str) -> None:
    assert_refused(write_tar_gz(tmp_path / "a.tar.gz", *members), found)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666])
def test_links_and_devices_in_a_zip(tmp_path: Path, mode: int) -> None:
    assert_refused(write_zip(tmp_path / "a.zip", (zip_info("evil", mode), b"/etc/passwd")), "a link or device")


def test_huge_declared_size_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    member = tarfile.TarInfo("huge.wav")
    member.size = 1 << 50
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member.tobuf(tarfile.PAX_FORMAT)))
    assert_refused(tmp_path / "a.tar.gz", f"a declared size of {1 << 50} bytes")


def test_negative_declared_size(tmp_path: Path) -> None:
    member = tarfile.TarInfo("odd.wav")
    member.size = -1
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ConfigError):
        extract(tmp_path / "a.tar", tmp_path / "out")


def test_huge_header_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 20
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(header.size)))
    assert_refused(tmp_path / "a.tar.gz", "expected a small header")


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        (Limits(member_bytes=9), "a declared size of 10 bytes"),
        (Limits(total_bytes=19), "more than 19 bytes in all"),
        (Limits(members=1), "more than 1 members"),
    ],
)
def test_limits(tmp_path: Path, limits: Limits, found: str) -> None:
    for folder in ("t", "z"):
        (tmp_path / folder).mkdir()
    content = bytes(10)
    assert_refused(write_tar_gz(tmp_path / "t" / "a.tar.gz", regular("1", content), regular("2", content)), found, limits)
    assert_refused(write_zip(tmp_path / "z" / "a.zip", ("1", content), ("2", content)), found, limits)


def test_damaged_archives(tmp_path: Path) -> None:
    members = [regular(f"{n}.wav", os.urandom(5000)) for n in range(5)]
    whole_tar = write_tar_gz(tmp_path / "a.tar.gz", *members).read_bytes()
    whole_zip = write_zip(tmp_path / "a.zip", *((m.name, content) for m, content in members)).read_bytes()
    spoilt_zip = whole_zip[:3000] + bytes([whole_zip[3000] ^ 1]) + whole_zip[3001:]
    for name, content in (
        ("cut.tar.gz", whole_tar[:9000]),
        ("short.tar.gz", whole_tar[:-4]),
        ("text.tar.gz", b"<html>Not found</html>" * 99),
        ("empty.tar.gz", b""),
        ("cut.tar", gzip.decompress(whole_tar)[:9000]),
        ("more.tar", gzip.decompress(whole_tar) + bytes(9000) + b"more"),
        ("cut.zip", whole_zip[:9000]),
        ("spoilt.zip", spoilt_zip),
        ("text.zip", b"<html>Not found</html>"),
    ):
        archive = tmp_path / Path(name).stem / name
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(content)
        assert_refused(archive, "delete it and download it again")
        archive.unlink()


def test_archive_without_members(tmp_path: Path) -> None:
    assert_refused(write_tar_gz(tmp_path / "a.tar.gz"), "found an empty archive")


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot unpack"):
        extract(tmp_path / "absent.tar.gz", tmp_path / "out")


def test_destination_in_use_is_left_alone(tmp_path: Path) -> None:
    archive = write_tar_gz(tmp_path / "a.tar.gz", regular("1.wav"))
    (tmp_path / "out").mkdir()
    extract(archive, tmp_path / "out")
    with pytest.raises(ConfigError, match="found it in use"):
        extract(archive, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="found it in use"):
        extract(archive, tmp_path / "link")
    assert tree(tmp_path / "out") == {"1.wav": b"x"}


def test_leftovers_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    archive = write_tar_gz(tmp_path / "a.tar.gz", regular("1.wav"))
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "half.wav").write_bytes(b"ha")
    extract(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]
    assert tree(tmp_path / "out") == {"1.wav": b"x"}


def test_staging_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    archive = write_tar_gz(tmp_path / "a.tar.gz", regular("1.wav"))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.txt").write_text("mine")
    (tmp_path / ".out.unpacking").symlink_to(tmp_path / "victim")
    extract(archive, tmp_path / "out")
    assert tree(tmp_path / "victim") == {"thesis.txt": b"mine"}


TAR = tar_bytes(regular("yes/1.wav", b"one" * 99), special("d", tarfile.DIRTYPE), regular("n" * 120 + ".wav", b"two"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(TAR) - 1), st.integers(0, 255)), min_size=1, max_size=12),
    cut=st.integers(1, len(TAR)),
    as_zip=st.booleans(),
)
def test_any_damage_ends_in_an_error_or_in_files_inside(tmp_path: Path, changes: list[tuple[int, int]], cut: int, as_zip: bool) -> None:
    base = write_zip(tmp_path / "base.zip", ("yes/1.wav", b"one" * 99), ("no/2.wav", b"two")).read_bytes() if as_zip else TAR
    spoilt = bytearray(base)
    for place, value in changes:
        spoilt[place % len(base)] = value
    archive = tmp_path / ("a.zip" if as_zip else "a.tar")
    archive.write_bytes(spoilt[: cut if cut % 3 == 0 else None])
    out = tmp_path / "out"
    try:
        extract(archive, out)
    except ConfigError:
        assert not out.exists()
    else:
        assert not any(path.is_symlink() for path in out.rglob("*"))
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        out.rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"a.tar", "a.zip", "base.zip"} & {p.name for p in tmp_path.iterdir()})
