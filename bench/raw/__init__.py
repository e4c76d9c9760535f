"""Programs that do nothing but the raw limit that a measurement is compared with."""
