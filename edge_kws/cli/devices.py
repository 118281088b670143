"""`edge-kws devices`: the input devices there are."""

from rich.console import Console
from rich.table import Table

from edge_kws.audio.devices import list_devices

_NONE = """No input device: PortAudio lists none on this machine.

  plug in a microphone, or check that the sound system (PipeWire, PulseAudio, ALSA) runs and sees one: `arecord -l`
  in a container, pass the devices on (`--device /dev/snd`) or the socket of PulseAudio
  without any microphone, listen to a recording: `edge-kws listen --model commands --input FILE`"""


def devices() -> None:
    """List the capture devices."""
    console = Console(highlight=False)
    found = list_devices()
    if not found:
        console.print(_NONE, markup=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("index", justify="right")
    table.add_column("name", overflow="fold")
    table.add_column("system")
    table.add_column("channels", justify="right")
    table.add_column("native rate", justify="right")
    for device in found:
        mark, style = ("*", "bold") if device.is_default else (" ", "")
        table.add_row(mark, str(device.index), device.name, device.host_api, str(device.channels), f"{device.rate_hz} Hz", style=style)
    console.print(table)
    console.print("\n[dim]* default. Choose another by index or part of its name: edge-kws listen --device NAME ...", soft_wrap=True)
