"""`edge-kws service run`: the daemon in the foreground, until a signal ends it."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType

from edge_kws.service.config import ServiceConfig, read_config
from edge_kws.service.engine import Service
from edge_kws.service.health import Health
from edge_kws.service.log import Level, log
from edge_kws.service.notify import Notifier
from edge_kws.service.page import Page
from edge_kws.service.records import Changed, InputStatus
from edge_kws.service.store import Store

_TICK_S = 1.0


def state_folder(config: ServiceConfig) -> Path:
    """Where database and clips are kept: the config's folder, else systemd's StateDirectory, else the user's."""
    if config.state_folder is not None:
        return config.state_folder
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "edge_kws"


def run(config_path: Path) -> None:
    """Runs until SIGTERM or SIGINT; SIGHUP reads the config again.

    Raises:
        EdgeKwsError: config, pack or state folder cannot be used.
    """
    config = read_config(config_path)
    notifier = Notifier()
    store = Store(state_folder(config), config.retention)
    service = Service(config_path, config, store)
    page: Page | None = None
    stop, reload = threading.Event(), threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        (reload if number == signal.SIGHUP else stop).set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    journal = threading.Thread(target=_journal, args=(service,), name="journal", daemon=True)
    try:
        journal.start()
        service.start()
        page = _page(service, config)
        health = Health(service.bus, notifier)
        while not stop.wait(_TICK_S):
            if reload.is_set():
                reload.clear()
                notifier.send("RELOADING=1")
                service.reload()
                if health.ready:
                    notifier.send("READY=1")
            inputs = list(service.inputs.values())
            health.check(inputs)
            service.tick()
            if all(entry.status == InputStatus.ENDED for entry in inputs):
                log(Level.NOTICE, "every input has come to its end")
                break
    finally:
        notifier.send("STOPPING=1")
        if page is not None:
            page.stop()
        service.stop()
        store.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _page(service: Service, config: ServiceConfig) -> Page | None:
    """The page, started, if the config wants one."""
    if not config.page.enabled:
        return None
    page = Page(service, config.page, state_folder(config))
    page.start()
    return page


def _journal(service: Service) -> None:
    """Status changes of inputs, as lines of the journal."""
    with service.subscribe() as records:
        while (record := records.get()) is not None or not records.closed:
            if isinstance(record, Changed):
                level = Level.INFO if record.status in (InputStatus.LISTENING, InputStatus.STOPPED) else Level.WARNING
                log(level, f"input {record.input}: {record.status}{f': {record.detail}' if record.detail else ''}")
