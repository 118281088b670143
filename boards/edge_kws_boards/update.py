"""A new model for a running board, into the slot that does not run: a cut at any moment leaves the old one running."""

from collections.abc import Callable

from edge_kws.errors import BoardError
from edge_kws.pack import Pack
from edge_kws_boards.contents import compile_packs
from edge_kws_boards.description import find_description
from edge_kws_boards.link import BoardLink
from edge_kws_boards.messages import UPDATE_BYTES, Kind, update_data_body
from edge_kws_boards.model_image import build_model_image

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


def send_image(link: BoardLink, image: bytes, *, progress: Progress | None = None) -> None:
    """Sends a model image and has the board switch to it; link.models are not those from then on. Raises BoardError."""
    link.request(Kind.UPDATE_BEGIN, len(image).to_bytes(4, "little"))
    for at in range(0, len(image), UPDATE_BYTES):
        link.request(Kind.UPDATE_DATA, update_data_body(at, image[at : at + UPDATE_BYTES]))
        if progress is not None:
            progress(min(at + UPDATE_BYTES, len(image)), len(image))
    link.request(Kind.UPDATE_COMMIT)


def update(link: BoardLink, pack: Pack, *, progress: Progress | None = None) -> int:
    """Compiles a pack for the board at the other end, sends it, and has the board switch to it.

    Args:
        link: the board.
        pack: read from a file or shipped.
        progress: told how far it is.

    Returns:
        The slot it runs from.

    Raises:
        BoardError: a board without slots, or one that refuses the model; its old model then runs on.
    """
    board = find_description(link.info.board)
    (model,) = compile_packs([pack.where], board.core)
    send_image(link, build_model_image(board, model), progress=progress)
    link.synchronise()
    for linked in link.models:
        if linked.model.slot and linked.model.digest == pack.info.model_sha256:
            return linked.model.slot
    raise BoardError(f"{link.info.board}: expected it to run {pack.info.name} from a slot, found that it does not; try again")
