"""The store: what was committed stays, budgets hold, labels file clips, and damage is survived."""

import io
import sqlite3
import wave

import numpy as np
import pytest

from edge_kws.errors import ConfigError, StoreError
from edge_kws.service import database
from edge_kws.service import store as store_module
from edge_kws.service.config import RetentionConfig
from edge_kws.service.records import Changed, Heard, InputStatus, Noticed
from edge_kws.service.store import DATABASE, Store

KEEPING = RetentionConfig(clips=True, budget_mb=0.1)


def heard(number, *, pack="marvin", input_name="kitchen"):
    return Heard(number, 1000.5 + number, input_name, pack, "wake_word", "marvin", 0.97, 0.9, 16_000 * number, 16_000 * (number + 1))


def pcm(number, seconds=1.0):
    return np.random.default_rng(number).integers(-9000, 9000, round(seconds * 16_000)).astype(np.int16)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, KEEPING)
    yield store
    store.close()


def samples(wav):
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_events_come_back_as_they_were_newest_first_page_by_page(store, tmp_path):
    store.add([heard(number, pack="marvin" if number % 2 else "commands") for number in range(10)])
    assert [stored.event for stored in store.events(3)] == [heard(9), heard(8, pack="commands"), heard(7)]
    assert [stored.event.id for stored in store.events(3, before=7)] == [6, 5, 4]
    assert [stored.event.id for stored in store.events(9, pack="commands")] == [8, 6, 4, 2, 0]
    assert store.events(9, input_name="attic") == []
    assert store.event(4).event == heard(4, pack="commands")
    assert store.event(11) is None
    again = Store(tmp_path, KEEPING)
    assert len(again.events(100)) == 10
    again.close()


def test_ids_go_up_also_over_restarts_and_while_the_clock_stands_back(store, tmp_path, monkeypatch):
    first = store.new_id()
    store.add([heard(first)])
    monkeypatch.setattr("time.time_ns", lambda: 5_000_000)
    assert store.new_id() == first + 1
    again = Store(tmp_path, KEEPING)
    assert again.new_id() == first + 1
    again.close()


def test_clips_are_kept_sample_by_sample_within_their_budget_oldest_first(store):
    for number in range(1, 8):
        store.add([heard(number)])
        store.keep_clip(number, "kitchen", pcm(number), 1.0)
    assert (store.clips, store.clip_bytes) == (3, 3 * 32_044)
    assert store.clip(4) is None
    np.testing.assert_array_equal(samples(store.clip(7)), pcm(7))
    assert [stored.has_clip for stored in store.events()] == [True] * 3 + [False] * 4


def test_labels_file_clips_where_training_reads_them(store, tmp_path):
    for number in (1, 2):
        store.add([heard(number)])
        store.keep_clip(number, "kitchen", pcm(number), 1.0)
    assert store.label(1, "false_wake").verdict == "false_wake"
    assert store.label(2, "correct").verdict == "correct"
    assert [path.parent.name for path in sorted(tmp_path.glob("filed/marvin/*/*.wav"))] == ["_unknown_", "marvin"]
    np.testing.assert_array_equal(samples(store.clip(1)), pcm(1))
    assert store.label(1, None).verdict is None
    assert [label.verdict for label in store.labels()] == ["correct"]
    assert (tmp_path / "clips" / "0000000000001.wav").exists()
    assert store.label(99, "correct") is None


def test_labelled_clips_outlive_those_nobody_labelled(store):
    store.add([heard(1)])
    store.label(1, "false_wake")
    store.keep_clip(1, "kitchen", pcm(1), 1.0)  # the label came before the clip was complete
    for number in range(2, 9):
        store.keep_clip(number, "kitchen", pcm(number), 1.0)
    assert store.clip(1) is not None
    assert store.clip(2) is None


def test_what_was_missed_is_filed_only_with_retention(tmp_path):
    for clips in (True, False):
        store = Store(tmp_path / str(clips), RetentionConfig(clips=clips))
        label = store.add_missed("kitchen", "marvin", "marvin", pcm(1))
        assert (label.event, label.verdict) == (None, "missed")
        assert store.labels() == [label]
        assert (store.clip(label.id) is not None) == clips
        assert len(list((tmp_path / str(clips)).glob("filed/marvin/marvin/*.wav"))) == clips
        store.close()


def test_names_cannot_leave_the_folder(store, tmp_path):
    label = store.add_missed("kitchen", "../../etc", "a/b\\c", pcm(1))
    assert store.clip(label.id) is not None
    assert [path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*.wav")] == [("filed", "______etc")]


def test_thresholds_and_changes_are_remembered(store):
    store.set_threshold("kitchen", "marvin", 0.5)
    store.set_threshold("kitchen", "marvin", 0.6)
    store.set_threshold("attic", "marvin", 0.7)
    store.set_threshold("attic", "marvin", None)
    assert store.thresholds() == {("kitchen", "marvin"): 0.6}
    records = [Changed(1.0, "kitchen", InputStatus.AWAY, "unplugged"), Noticed(2.0, "config", "reloaded")]
    store.add(records)
    assert store.changes() == records[::-1]


def test_tables_are_bounded(tmp_path):
    store = Store(tmp_path, RetentionConfig(events=100))
    for first in range(0, 2000, 100):
        store.add([heard(first + number) for number in range(100)])
    assert len(store.events(10_000)) <= 600
    store.close()
    store = Store(tmp_path, RetentionConfig(events=100))
    assert [stored.event.id for stored in store.events(10_000)] == list(range(1999, 1899, -1))
    store.close()


def test_after_a_power_cut_files_and_rows_agree_again(tmp_path):
    store = Store(tmp_path, KEEPING)
    for number in (1, 2, 3):
        store.keep_clip(number, "kitchen", pcm(number), 1.0)
    store.close()
    clips = tmp_path / "clips"
    (clips / "0000000000002.wav").unlink()  # the row was committed, the file not
    (clips / "0000000000009.wav").write_bytes(b"no row")  # the file was there, the row not
    (clips / "0000000000010.part").write_bytes(b"half")
    (tmp_path / "filed/marvin/marvin").mkdir(parents=True)
    (clips / "0000000000003.wav").rename(tmp_path / "filed/marvin/marvin/0000000000003.wav")  # moved, the row not yet
    store = Store(tmp_path, KEEPING)
    assert store.clips == 2
    assert [store.clip(number) is not None for number in (1, 2, 3, 9)] == [True, False, True, False]
    assert sorted(path.name for path in clips.iterdir()) == ["0000000000001.wav"]
    store.close()


def test_a_damaged_database_is_set_aside(tmp_path):
    store = Store(tmp_path, KEEPING)
    store.add([heard(1)])
    store.close()
    path = tmp_path / DATABASE
    path.write_bytes(b"not a database" + path.read_bytes()[14:])
    store = Store(tmp_path, KEEPING)
    assert store.events() == []
    store.add([heard(2)])
    store.close()
    assert (tmp_path / f"{DATABASE}.damaged").exists()


def test_a_newer_database_is_refused_in_one_line(tmp_path):
    Store(tmp_path, KEEPING).close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="found 99; upgrade edge_kws"):
        Store(tmp_path, KEEPING)
    assert not (tmp_path / f"{DATABASE}.damaged").exists()


def test_an_old_database_is_migrated_and_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path, KEEPING)
    store.add([heard(1)])
    store.close()
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE events ADD COLUMN note TEXT; SELECT * FROM nowhere"))
    with pytest.raises(ConfigError, match="nowhere"):
        Store(tmp_path, KEEPING)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS[:1], "ALTER TABLE changes ADD COLUMN note TEXT"))
    store = Store(tmp_path, KEEPING)
    assert len(store.events()) == 1
    store.close()
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert "note" not in {row[1] for row in connection.execute("PRAGMA table_info(events)")}


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set state_folder"):
        Store(tmp_path / "file", KEEPING)


def test_while_the_disk_takes_nothing_everything_is_kept_in_memory_and_moved_later(tmp_path, monkeypatch):
    def refuse(path):
        raise StoreError(f"{path}: full")

    before = Store(tmp_path, KEEPING)
    before.add([heard(1)])
    before.close()
    monkeypatch.setattr(store_module, "open_database", refuse)
    store = Store(tmp_path, KEEPING)
    assert "full" in store.trouble
    assert store.new_id() > 1
    store.add([heard(2)])
    assert store.label(2, "false_wake") is not None
    store.set_threshold("kitchen", "marvin", 0.5)
    with pytest.raises(StoreError, match="full"):
        store.keep_clip(2, "kitchen", pcm(2), 1.0)
    assert store.try_disk_again() is False
    monkeypatch.undo()
    assert store.try_disk_again() is True
    assert store.trouble == ""
    assert [(stored.event, stored.verdict) for stored in store.events()] == [(heard(2), "false_wake"), (heard(1), None)]
    assert store.thresholds() == {("kitchen", "marvin"): 0.5}
    store.keep_clip(2, "kitchen", pcm(2), 1.0)
    assert (store.clips, next(tmp_path.rglob("*.wav")).parent.name) == (1, "_unknown_")
    store.close()


def test_a_refused_write_leaves_nothing_half_done(store, monkeypatch):
    store.add([heard(1)])
    store.keep_clip(1, "kitchen", pcm(1), 1.0)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StoreError, match="No space left"):
        store.keep_clip(2, "kitchen", pcm(2), 1.0)
    assert store.clips == 1
    monkeypatch.undo()
    store.keep_clip(3, "kitchen", pcm(3), 1.0)
    assert store.clips == 2
