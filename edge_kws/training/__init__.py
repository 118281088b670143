"""The build flow: recipe to pack."""
