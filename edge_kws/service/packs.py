"""The packs of an input, loaded and trusted as the config says."""

from dataclasses import dataclass
from pathlib import Path

from edge_kws.errors import ConfigError
from edge_kws.pack import Pack
from edge_kws.pack_signature import verify_signature
from edge_kws.resources import shipped_packs
from edge_kws.service.config import PRIORITIES, PackConfig


@dataclass(frozen=True, slots=True, eq=False)
class LoadedPack:
    """A pack, and what the config says of it: its threshold (None: the pack's own), its priority, and `shipped`, `signed` or `unsigned`."""

    pack: Pack
    configured: float | None
    priority: int
    signature: str

    @property
    def name(self) -> str:
        """The pack's own name."""
        return self.pack.info.name

    @property
    def threshold(self) -> float:
        """The configured one, or the lowest of the pack's own."""
        own = min(threshold for threshold in self.pack.decoder.thresholds if threshold is not None)
        return own if self.configured is None else self.configured

    def threshold_of(self, label: str, override: float | None) -> float:
        """What a class has to reach while a person has set `override`, if any."""
        own = self.pack.decoder.thresholds[self.pack.labels.index(label)]
        return next(value for value in (override, self.configured, own, 1.0) if value is not None)


def load_packs(configs: tuple[PackConfig, ...], where: str) -> tuple[LoadedPack, ...]:
    """Loads an input's packs; `where` names the input in errors.

    Raises:
        ConfigError: two packs of one name, or of front ends that do not fit each other.
        PackError: a pack that is missing, damaged, or not signed as the config asks.
    """
    loaded = tuple(_load(config) for config in configs)
    names = [pack.name for pack in loaded]
    if len(set(names)) != len(names):
        raise ConfigError(f"{where}: expected packs of different names, found {', '.join(names)}; leave one out")
    if len({(pack.pack.frontend.window_ms, pack.pack.frontend.hop_ms) for pack in loaded}) != 1:
        raise ConfigError(f"{where}: expected packs of one window and hop, found several; give them inputs of their own")
    return loaded


def _load(config: PackConfig) -> LoadedPack:
    pack = Pack.load(config.pack)
    if all(threshold is None for threshold in pack.decoder.thresholds):
        raise ConfigError(f"{config.pack}: expected a pack with a class that can fire, found none; use another pack")
    return LoadedPack(
        pack=pack,
        configured=config.threshold,
        priority=config.priority if config.priority is not None else PRIORITIES.get(pack.info.task, 0),
        signature=_signature(config, pack),
    )


def _signature(config: PackConfig, pack: Pack) -> str:
    if config.public_key is not None:
        verify_signature(pack, _key(config.public_key))
        return "signed"
    if config.pack in shipped_packs():
        return "shipped"
    if not config.unsigned:
        step = "give `public_key`, or `unsigned = true` if you trust it"
        raise ConfigError(f"{config.pack}: expected a shipped pack or one signed by a key you name, found another; {step}")
    return "unsigned"


def _key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: expected a public key (PEM), found {error.strerror}; correct `public_key`") from None
