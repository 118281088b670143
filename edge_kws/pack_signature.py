r"""Detached Ed25519 signatures of packs. Keys are the user's; none lives in a repository.

Signed message: b"edge_kws pack 1\n" + SHA-256(model without metadata, 32 bytes) + canonical JSON of the pack's info. The info holds
the hash of the golden vectors and the labels, so a signature covers all that a pack claims. Needs the package `cryptography`.
"""

import hashlib
from typing import TYPE_CHECKING

from edge_kws.errors import PackError

if TYPE_CHECKING:
    from edge_kws.pack import Pack

SIGNATURE_BYTES = 64


def signed_message(pack: "Pack") -> bytes:
    """The bytes an Ed25519 signature of this pack is over."""
    return b"edge_kws pack 1\n" + hashlib.sha256(pack.model).digest() + pack.info.canonical_json()


def sign(pack: "Pack", private_key_pem: bytes) -> bytes:
    """A 64-byte Ed25519 signature; store it with `pack.with_signature(...)`.

    Raises:
        PackError: `cryptography` is missing, or the key is not an unencrypted Ed25519 private key in PEM.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(private_key_pem, password=None)
    except ImportError as error:
        raise _no_cryptography() from error
    except (ValueError, TypeError) as error:
        raise PackError(
            f"signing key: expected an unencrypted PEM private key, found {error}; make one with `openssl genpkey -algorithm ed25519`"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PackError(f"signing key: expected Ed25519, found {type(key).__name__}; make one with `openssl genpkey -algorithm ed25519`")
    return key.sign(signed_message(pack))


def verify_signature(pack: "Pack", public_key_pem: bytes) -> None:
    """Returns if the pack's signature was made with this key's private half.

    Raises:
        PackError: no signature, a signature by another key or of another pack, not an Ed25519 key, or `cryptography` is missing.
    """
    if pack.signature is None:
        raise PackError(f"{pack.where}: expected a signature, found none; ask the pack's author for a signed one")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(public_key_pem)
    except ImportError as error:
        raise _no_cryptography() from error
    except ValueError as error:
        raise PackError(
            f"public key: expected a PEM public key, found {' '.join(str(error).split())}; ask the pack's author for it"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise PackError(f"public key: expected Ed25519, found {type(key).__name__}; ask the pack's author for it")
    try:
        key.verify(pack.signature, signed_message(pack))
    except InvalidSignature:
        step = "do not use this pack, or check that the key is its author's"
        raise PackError(f"{pack.where}: expected a signature by this key over this model and info, found another; {step}") from None


def _no_cryptography() -> PackError:
    return PackError("signatures: expected the package cryptography, found none; pip install cryptography")
