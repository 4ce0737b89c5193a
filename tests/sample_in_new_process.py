"""Run by the contract battery: loads the model in a folder and prints the digest of its samples."""

import hashlib
import sys
from pathlib import Path

from keras_models.saving import load

folder, n, seed = sys.argv[1:]
print(hashlib.sha256(load(Path(folder)).sample(int(n), seed=int(seed)).tobytes()).hexdigest())
