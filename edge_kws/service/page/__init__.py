"""The daemon's web page: `server.py` composes it, `guard.py` decides who may ask, `api.py` and `live.py` answer."""

from edge_kws.service.page.server import Page

__all__ = ["Page"]
