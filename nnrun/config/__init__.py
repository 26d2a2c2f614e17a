"""The typed config of one run, and the choices it is put together from."""
