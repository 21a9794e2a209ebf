"""Boxes in pictures: how they are read and audited, and a detector on a backbone's maps."""
