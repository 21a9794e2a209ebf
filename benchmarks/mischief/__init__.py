"""Ways to break it, counted; see `mischief.__main__`."""
