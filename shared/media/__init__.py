"""Media on a service's own disk: ``leftovers`` (what a crash left in the folder for files under way)."""
