"""The errors a user can meet. Each carries one clear line: what, where, expected, found, next step."""


class EdgeKwsError(Exception):
    """Base of every error raised on purpose; the CLI prints it as one line and exits with code 2."""


class AudioError(EdgeKwsError):
    """Audio that cannot be read, captured or resampled."""


class FrontendError(EdgeKwsError):
    """A front-end configuration that cannot be computed, or a native library that cannot be used."""


class PackError(EdgeKwsError):
    """A pack that is damaged, foreign, or of an unknown schema."""


class ModelError(EdgeKwsError):
    """A model whose graph, shapes or quantisation do not fit its use."""


class QuantizationError(EdgeKwsError):
    """A model that could not be quantised."""


class ConversionError(EdgeKwsError):
    """A model that could not be converted."""


class BoardError(EdgeKwsError):
    """A board that is unknown or does not answer."""


class ConfigError(EdgeKwsError):
    """A configuration file, recipe or dataset that does not say what is needed."""


class StoreError(EdgeKwsError):
    """Events, labels or clips that could not be kept."""
