"""The daemon's config: what is taken, and the one line that everything else gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.errors import ConfigError
from edge_kws.service.config import MAX_CONFIG_BYTES, MicrophoneConfig, parse_config, read_config

INPUT = '[[inputs]]\nname = "kitchen"\npacks = [{pack = "marvin"}]\n'


def test_the_least_there_can_be():
    config = parse_config(INPUT, "x.toml")
    (entry,) = config.inputs
    assert isinstance(entry, MicrophoneConfig)
    assert (entry.name, entry.device, entry.packs[0].pack) == ("kitchen", None, "marvin")
    assert not config.retention.clips, "audio stays in RAM"
    assert config.page.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["inputs", "nothing"]),
        ("inputs = 3", ["inputs", "3"]),
        ("[[inputs]", ["TOML", "line 1"]),
        (INPUT + "colour = 3", ["colour", "3"]),
        (INPUT.replace("}]", ", treshold = 0.5}]"), ["packs.0.treshold"]),
        (INPUT.replace("}]", ", threshold = 1.5}]"), ["threshold", "1.5"]),
        (INPUT.replace("}]", ", threshold = nan}]"), ["threshold"]),
        (INPUT.replace('"kitchen"', '"../etc"'), ["name", "../etc"]),
        (INPUT.replace('"kitchen"', '"a\\nb"'), ["name"]),
        (INPUT + INPUT, ["different names", "kitchen, kitchen"]),
        (INPUT + 'source = "cassette"', ["source", "cassette"]),
        (INPUT + 'source = "stdin"\n[[inputs]]\nname = "b"\nsource = "stdin"\npacks = [{pack = "marvin"}]', ["once", "twice"]),
        (INPUT + '[[sinks]]\nkind = "fax"', ["fax"]),
        (INPUT + '[[sinks]]\nkind = "webhook"\nurl = "file:///etc/passwd"', ["url", "http"]),
        (INPUT + '[[sinks]]\nkind = "command"\ncommand = "rm -rf /"', ["command", "tuple"]),
        (INPUT + '[[sinks]]\nkind = "command"\ncommand = []', ["command"]),
        (INPUT + '[[sinks]]\nkind = "mqtt"\nhost = "h"\ntopic = "a/#"', ["topic"]),
        (INPUT + '[[sinks]]\nkind = "wyoming"\nrole = "satellite"\ninput = "attic"', ["attic", "kitchen"]),
        (INPUT + "[retention]\nbudget_mb = -1", ["budget_mb"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, words):
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "x.toml")
    message = str(refused.value)
    assert message.startswith("x.toml: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_files_that_are_none(tmp_path):
    for path, content in ((tmp_path / "none", None), (tmp_path, None), (tmp_path / "binary", b"\xff\xfe"), (tmp_path / "large", b"#")):
        if content is not None:
            path.write_bytes(content * (MAX_CONFIG_BYTES + 1 if path.name == "large" else 1))
        with pytest.raises(ConfigError, match=str(path)):
            read_config(path)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_no_text_does_more_than_be_refused(text):
    for hostile in (text, INPUT + text, INPUT + "[retention]\n" + text):
        assert "\n" not in refusal(hostile)


def refusal(text):
    try:
        parse_config(text, "x.toml")
    except ConfigError as error:
        return str(error)
    return ""
