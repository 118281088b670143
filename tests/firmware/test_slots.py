"""Model slots: power that fails in any operation leaves the old model or the new one, never none and never half of one."""

import ctypes
import hashlib
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_kws_boards.messages import Status
from tests.firmware.test_protocol import APP, ROOT, compiler

SLOT, ERASE, UNIT, CORE = 4096, 512, 8, 7
HEADER = f"""#define EKWS_BOARD_NAME "test"
#define EKWS_RECEIVE_BYTES 512
#define EKWS_RING_SAMPLES 256
#define EKWS_CORE {CORE}u
#define EKWS_SLOT_BYTES {SLOT}u
#define EKWS_FLASH_ERASE_BYTES {ERASE}u
#define EKWS_FLASH_WRITE_BYTES {UNIT}u
"""


class Slots:
    """firmware/app/slots.c over a model of flash."""

    def __init__(self, folder: Path) -> None:
        (folder / "ekws_board.h").write_text(HEADER)
        path = folder / "slots.so"
        sources = [APP / "slots.c", APP / "sha256.c", Path(__file__).with_name("fake_flash.c")]
        include = [f"-I{ROOT / 'firmware' / 'include'}", f"-I{APP}", f"-I{folder}"]
        subprocess.run([compiler("cc"), "-std=c99", "-O1", "-shared", "-fPIC", *include, *map(str, sources), "-o", str(path)], check=True)
        self.c: Any = ctypes.CDLL(str(path))
        self.c.flash_bytes.restype = ctypes.POINTER(ctypes.c_uint8)
        self.c.image_head_bytes.restype = self.c.image_model_offset.restype = ctypes.c_size_t
        self.c.ekws_slots_active.restype = ctypes.c_uint8
        self.clear()

    def number(self, name: str) -> Any:
        return ctypes.c_uint32.in_dll(self.c, name)

    def clear(self) -> None:
        self.put(b"\xff" * 2 * SLOT)
        for name in ("flash_operations", "flash_cut_at", "flash_misuse"):
            self.number(name).value = 0

    @property
    def flash(self) -> bytes:
        return ctypes.string_at(self.c.flash_bytes(), 2 * SLOT)

    def put(self, flash: bytes) -> None:
        ctypes.memmove(self.c.flash_bytes(), flash, len(flash))

    def image(self, seed: int, size: int = 1003, *, abi: int = 1, core: int = CORE) -> bytes:
        data = bytearray(np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes())
        data[self.c.image_model_offset() : self.c.image_head_bytes()] = bytes(self.c.image_head_bytes() - self.c.image_model_offset())
        data[:16] = struct.pack("<4I", 0x6D776B65, abi, core, size)
        held = (ctypes.c_uint8 * size)(*data)
        self.c.image_fill_model(held, ctypes.c_size_t(size))
        data = bytearray(held)
        data[16:48] = hashlib.sha256(data[48:]).digest()
        return bytes(data)

    def send(self, image: bytes, claimed: int | None = None) -> Status:
        status = self.c.ekws_slots_begin(len(image) if claimed is None else claimed)
        for at in range(0, len(image), 240):
            if status == 0:
                status = self.c.ekws_slots_write(at, image[at : at + 240], ctypes.c_size_t(len(image[at : at + 240])))
        return Status(status or self.c.ekws_slots_check() or self.c.ekws_slots_activate())

    def running(self) -> bytes | None:
        """The image that a board which starts now runs."""
        slot = self.c.ekws_slots_active()
        if slot == 0:
            return None
        found = self.flash[(slot - 1) * SLOT : slot * SLOT]
        return found[: struct.unpack_from("<I", found, 12)[0]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Slots:
    return Slots(tmp_path_factory.mktemp("slots"))


@pytest.fixture
def slots(made: Slots) -> Slots:
    made.clear()
    return made


def test_models_take_turns(slots: Slots) -> None:
    assert slots.running() is None
    for seed in range(5):
        image = slots.image(seed, 900 + 101 * seed)
        assert slots.send(image) == Status.OK
        assert slots.running() == image
    assert slots.number("flash_misuse").value == 0


@pytest.mark.parametrize("before", [0, 1, 2])
def test_power_that_fails_anywhere_leaves_the_old_model_or_the_new_one(slots: Slots, before: int) -> None:
    for seed in range(before):
        assert slots.send(slots.image(seed)) == Status.OK
    old, new, start = slots.running(), slots.image(99), slots.flash
    slots.number("flash_operations").value = 0
    assert slots.send(new) == Status.OK
    operations = slots.number("flash_operations").value
    assert operations > SLOT // ERASE + len(new) // UNIT
    seen: set[bytes | None] = set()
    for cut in range(1, operations + 1):
        for seed in range(3):
            slots.put(start)
            slots.number("flash_operations").value, slots.number("flash_cut_at").value = 0, cut
            slots.number("flash_seed").value = seed * 7919 + cut
            slots.send(new)
            slots.number("flash_cut_at").value = 0
            seen.add(slots.running())
            assert slots.running() in ((old, new) if cut == operations else (old,))
            if cut % 16 == 0 or cut == operations:  # and the next update goes through
                again = slots.image(100)
                assert slots.send(again) == Status.OK
                assert slots.running() == again
    assert slots.number("flash_misuse").value == 0
    assert old in seen


def test_what_is_no_image_for_this_board_never_runs(slots: Slots) -> None:
    old = slots.image(0)
    assert slots.send(old) == Status.OK
    good = slots.image(1)
    wrong = {
        Status.DAMAGED: [good[:500] + bytes([good[500] ^ 1]) + good[501:], b"\0" + good[1:], good[:48] + bytes(200) + good[248:]],
        Status.WRONG_ABI: [slots.image(1, abi=2), slots.image(1, core=8)],
        Status.TOO_LARGE: [slots.image(1, SLOT)],
    }
    for status, images in wrong.items():
        for image in images:
            assert slots.send(image) == status
            assert slots.running() == old
    assert slots.send(good[:600], claimed=len(good)) == Status.OUT_OF_ORDER
    assert slots.send(good + bytes(5), claimed=len(good) + 5) == Status.DAMAGED
    assert slots.running() == old


def test_data_must_come_in_order(slots: Slots) -> None:
    image = slots.image(3)
    assert slots.c.ekws_slots_write(0, image[:240], ctypes.c_size_t(240)) == Status.OUT_OF_ORDER
    assert slots.c.ekws_slots_begin(len(image)) == Status.OK
    for at, count in ((240, 240), (0, 0), (0, 239)):
        assert slots.c.ekws_slots_write(at, image[at : at + count], ctypes.c_size_t(count)) == Status.OUT_OF_ORDER
    assert slots.c.ekws_slots_activate() == Status.OUT_OF_ORDER
    assert slots.running() is None


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 4097])
def test_sha256_is_the_usual_one(slots: Slots, size: int) -> None:
    data, digest = bytes(range(256)) * 17, ctypes.create_string_buffer(32)
    slots.c.ekws_sha256(data, ctypes.c_size_t(size), digest)
    assert digest.raw == hashlib.sha256(data[:size]).digest()


def test_statuses_are_those_of_the_firmware() -> None:
    text = (APP / "messages.h").read_text()
    found = {m[1]: int(m[2]) for m in re.finditer(r"^  EKWS_STATUS_(\w+) = (\d+),", text, re.MULTILINE)}
    assert found == {status.name: status.value for status in Status}
