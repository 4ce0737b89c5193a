"""Run by the tests of exported models in a process that cannot import Mozart.

without_mozart.py signatures EXPORTED INPUTS.npz OUTPUTS.npz    every `SIGNATURE|INPUT` → `SIGNATURE|OUTPUT`
without_mozart.py pyfunc EXPORTED INPUTS.npz OUTPUTS.npz        the same through mlflow.pyfunc
"""

import sys
from importlib.abc import MetaPathFinder

BARRED = {"keras_models", "components", "pipelines", "tests", "tensorflow_probability", "tf_keras"}


class Barred(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BARRED:
            raise ImportError(f"{name} is not installed here")


how, exported, given, out = sys.argv[1:]
sys.meta_path.insert(0, Barred())

import numpy as np  # noqa: E402

wanted = {}
for key, value in np.load(given).items():
    signature, name = key.split("|")
    wanted.setdefault(signature, {})[name] = value
found = {}
if how == "signatures":
    import tensorflow as tf

    programs = tf.saved_model.load(f"{exported}/saved_model").signatures
    for signature, inputs in wanted.items():
        for name, value in programs[signature](**{key: tf.constant(v) for key, v in inputs.items()}).items():
            found[f"{signature}|{name}"] = value.numpy()
else:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(exported)
    for signature, inputs in wanted.items():
        columns = {key: np.atleast_1d(value) for key, value in inputs.items()}
        answer = model.predict(columns, params={"signature": signature})
        for name, value in (answer if isinstance(answer, dict) else {signature: answer}).items():
            found[f"{signature}|{name}"] = value
assert not {name.partition(".")[0] for name in sys.modules} & BARRED
np.savez(out, **found)
