"""What Python users hold: frames, arrays, pictures, lists; as a data set or as items."""
