"""Everything on the disk: the only readers and writers of run and sweep folders."""
