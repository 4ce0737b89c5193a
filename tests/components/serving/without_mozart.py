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


how, *folders = sys.argv[1:]
sys.meta_path.insert(0, Barred())

import numpy as np  # noqa: E402


def answers(exported, wanted):
    """SIGNATURE|OUTPUT → array."""
    if how == "signatures":
        import tensorflow as tf

        programs = tf.saved_model.load(f"{exported}/saved_model").signatures
        for signature, inputs in wanted.items():
            given = {key: tf.constant(value) for key, value in inputs.items()}
            for name, value in programs[signature](**given).items():
                yield f"{signature}|{name}", value.numpy()
        return
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(exported)
    for signature, inputs in wanted.items():
        columns = {key: np.atleast_1d(value) for key, value in inputs.items()}
        answer = model.predict(columns, params={"signature": signature})
        for name, value in (answer if isinstance(answer, dict) else {signature: answer}).items():
            yield f"{signature}|{name}", value


for folder in folders:
    wanted = {}
    for key, value in np.load(f"{folder}/asked.npz").items():
        signature, name = key.split("|")
        wanted.setdefault(signature, {})[name] = value
    np.savez(f"{folder}/said.npz", **dict(answers(f"{folder}/exported", wanted)))
assert not {name.partition(".")[0] for name in sys.modules} & BARRED
