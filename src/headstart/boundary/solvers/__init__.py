"""Convex heads, one file each: a file that is here is found, see `headstart.boundary.heads`."""
