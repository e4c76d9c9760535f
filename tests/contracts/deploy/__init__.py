"""Images and manifests: what is built, started and reached follows from the code and from nothing else."""
