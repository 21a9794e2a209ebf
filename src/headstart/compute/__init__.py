"""Where numbers are computed: device and precision."""
