"""Readers: model files into `graph.Graph`."""
