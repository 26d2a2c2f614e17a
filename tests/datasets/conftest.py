"""Fixtures of the data set tests."""

import pytest
from made_up_files import write_cifar, write_idx_set


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """Folder of the files of every image set by the name of the set."""
    idx, cifar = tmp_path_factory.mktemp("idx"), tmp_path_factory.mktemp("cifar")
    write_idx_set(idx)
    write_cifar(cifar)
    return {"mnist": str(idx), "fashion_mnist": str(idx), "cifar10": str(cifar)}
