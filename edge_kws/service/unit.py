"""The systemd unit: written for this machine, hardened, restarted when it goes deaf."""

import sys
from pathlib import Path

NAME = "edge-kws"
_COMMON = """\
# Made by `edge-kws service install`. To change it: `systemctl {scope}edit {name}`.
[Unit]
Description=edge_kws: keyword spotting
Documentation=man:systemd.service(5)
{after}
# A microphone may be away for days: never give up on it.
StartLimitIntervalSec=0

[Service]
# READY=1 comes with the first audio, WATCHDOG=1 only while audio flows.
Type=notify
NotifyAccess=main
TimeoutStartSec=infinity
WatchdogSec=60
Restart=always
RestartSec=2
# A config that cannot be used does not get better by itself.
RestartPreventExitStatus=2
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Environment=PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
"""
_SYSTEM = """\
DynamicUser=yes
SupplementaryGroups=audio dialout
StateDirectory={name}
StateDirectoryMode=0700
CacheDirectory={name}
Environment=XDG_CACHE_HOME=/var/cache/{name} HOME=/var/lib/{name}
OOMScoreAdjust=-200
UMask=0077
MemoryMax=300M
TasksMax=64

ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
DevicePolicy=closed
DeviceAllow=char-alsa rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyUSB rw
# Not MemoryDenyWriteExecute: PortAudio's callbacks come through cffi, which makes them at run time; the microphone would not open.
"""
_USER = """\
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
UMask=0077
"""


def unit_text(config: Path, *, user: bool) -> str:
    """The unit file that runs this very installation with `config`."""
    command = f"{_quote(sys.executable)} -m edge_kws.service {_quote(str(config))}"
    after = (
        "After=pipewire.service pipewire-pulse.service pulseaudio.service"
        if user
        else "Wants=network.target\nAfter=network.target sound.target"
    )
    home = "read-only" if _below_home(Path(sys.executable)) or _below_home(Path(sys.prefix)) else "yes"
    head = _COMMON.format(name=NAME, scope="--user " if user else "", after=after, command=command)
    body = _USER if user else _SYSTEM.format(name=NAME, home=home)
    return f"{head}{body}\n[Install]\nWantedBy={'default.target' if user else 'multi-user.target'}\n"


def _below_home(path: Path) -> bool:
    return path.is_relative_to("/home") or path.is_relative_to("/root")


def _quote(word: str) -> str:
    """A word of ExecStart: systemd's own quoting, and no specifier or variable in it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
