"""Boards: what firmware is built for and where it runs."""
