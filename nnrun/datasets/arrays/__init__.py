"""Arrays in files: npy, npz and IDX, and the cache of mapped files."""
