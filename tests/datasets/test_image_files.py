import gzip
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest_names import write_cifar, write_idx, write_idx_set

from nnrun.datasets.cifar10 import Cifar10
from nnrun.datasets.download import RemoteFile, cache_folder, fetch
from nnrun.datasets.fashion_mnist import FashionMnist
from nnrun.datasets.idx import read_idx
from nnrun.datasets.mnist import Mnist
from nnrun.datasets.official import OfficialConfig
from nnrun.errors import RunError
