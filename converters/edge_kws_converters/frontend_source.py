"""The front end's tables as C: what a firmware compiles beside `firmware/src`."""

from typing import Any

from numpy.typing import NDArray

from edge_kws.frontend import FrontendConfig, bank_settings, bank_tables, spectrum_tables

_HEAD = '#include "ekws.h"\n\n'


def _array(kind: str, name: str, values: NDArray[Any]) -> str:
    return f"static const {kind} {name}[{values.size}] = {{{', '.join(map(str, values.ravel().tolist()))}}};\n"


def frontend_source(config: FrontendConfig, name: str) -> str:
    """C source that defines `ekws_<name>_spectrum` and `ekws_<name>_bank`, const configurations for the calls of ekws.h.

    Args:
        config: the settings.
        name: a C identifier.
    """
    spectrum, bank = spectrum_tables(config), bank_tables(config)
    settings = bank_settings(config, bank)
    arrays = [
        _array("int16_t", "window", spectrum.window),
        _array("int16_t", "twiddle", spectrum.twiddle),
        _array("uint16_t", "band_widths", bank.band_widths),
        _array("uint16_t", "band_weights", bank.band_weights),
        _array("uint16_t", "log_table", bank.log_table),
    ]
    if config.pcan:
        arrays.append(_array("int16_t", "gain_table", bank.gain_table))
    members = [f"    .{key} = {'{' + ', '.join(map(str, v)) + '}' if isinstance(v, tuple) else v}," for key, v in settings.items()]
    members += [f"    .{key} = {key}," for key in ("band_widths", "band_weights", "log_table")]
    members.append(f"    .gain_table = {'gain_table' if config.pcan else 'NULL'},")
    return (
        _HEAD
        + "".join(arrays)
        + f"\nconst ekws_spectrum_config_t ekws_{name}_spectrum = {{\n"
        + f"    .window_samples = {config.window_samples}, .hop_samples = {config.hop_samples}, .window = window, .twiddle = twiddle}};\n"
        + f"\nconst ekws_bank_config_t ekws_{name}_bank = {{\n"
        + "\n".join(members)
        + "\n};\n"
    )
