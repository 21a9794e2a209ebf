"""Texts: from bytes to characters, not guessed silently, and to the tokens of a network."""
