"""Pictures: the one preprocessing, from bytes to pixels, and what is wrong with them."""
