"""Programs to read and to run beside the provider."""
