"""Passes: from the graph as read to a row program with addresses."""
