"""Making backbones: networks trained here on a source of their own."""
