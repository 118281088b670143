"""`edge-kws inspect`: everything a pack holds, and whether it holds together."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_kws.cli.model_card import model_card, show
from edge_kws.errors import PackError
from edge_kws.pack import Pack
from edge_kws.pack_signature import verify_signature


def inspect(
    pack: Annotated[str, typer.Argument(help="Name of a shipped pack, or path of a pack file.", metavar="PACK")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the model card.")] = False,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="PEM file of the author's Ed25519 public key: check the signature.")
    ] = None,
) -> None:
    """Show everything a pack holds, after replaying its golden vectors."""
    found = Pack.load(pack)
    failure: PackError | None = None
    try:
        found.verify(deep=True)
    except PackError as error:
        failure = error
    signature = _signature_state(found, key)
    file_bytes = found.path.stat().st_size if found.path else len(found.to_bytes())
    if as_json:
        print(json.dumps(_document(found, file_bytes, failure, signature), indent=2))
    else:
        show(model_card(found, file_bytes, _checks(found, failure, signature)))
    if failure is not None:
        raise failure


def _signature_state(pack: Pack, key: Path | None) -> str:
    if key is None:
        return "none" if pack.signature is None else "unchecked"
    try:
        public_key = key.read_bytes()
    except OSError as error:
        raise PackError(f"{key}: expected a PEM public key, found: {error.strerror}; check the path") from None
    verify_signature(pack, public_key)
    return "valid"


def _checks(pack: Pack, failure: PackError | None, signature: str) -> list[tuple[str, str, bool]]:
    golden = f"{len(pack.golden.windows)} windows replayed through LiteRT BUILTIN_REF: every byte as recorded"
    states = {
        "none": "unsigned",
        "unchecked": "signed, not checked: give --key with the author's public key",
        "valid": "valid for this key",
    }
    return [
        ("hashes", "model, metadata, labels and golden vectors are those this card was written for", True),
        ("golden", golden if failure is None else str(failure), failure is None),
        ("signature", states[signature], signature == "valid"),
    ]


def _document(pack: Pack, file_bytes: int, failure: PackError | None, signature: str) -> dict[str, Any]:
    return {
        "file": str(pack.path),
        "file_bytes": file_bytes,
        "window_frames": pack.window_frames,
        "frontend_digest": pack.frontend.digest(),
        "golden": {"windows": len(pack.golden.windows), "replayed": failure is None, "failure": None if failure is None else str(failure)},
        "signature": signature,
        "info": pack.info.model_dump(mode="json"),
    }
