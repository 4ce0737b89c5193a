"""How statsmodels.json was made; run it in an environment that has statsmodels and pandas, which Mozart has not:

uv venv /tmp/sm && uv pip install --python /tmp/sm/bin/python statsmodels
/tmp/sm/bin/python statsmodels_recipe.py TIMESERIES_FOLDER statsmodels.json
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.api as sm
from statsmodels.regression.linear_model import yule_walker
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.api import VAR
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.varmax import VARMAX
from statsmodels.tsa.stattools import acf, pacf

warnings.simplefilter("ignore")
D = sys.argv[1]
air = np.log(pd.read_csv(f"{D}/airline-passengers.csv").iloc[:, 1].to_numpy(float))
temp = pd.read_csv(f"{D}/daily-min-temperatures.csv").iloc[:, 1].to_numpy(float)[:400]
sun = sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
macro = np.diff(
    np.log(sm.datasets.macrodata.load_pandas().data[["realgdp", "realcons", "realinv"]].to_numpy()), axis=0
)
out = {
    "versions": {"statsmodels": statsmodels.__version__, "numpy": np.__version__},
    "sunspots": sun.tolist(),
    "air": air.tolist(),
    "temperature": temp.tolist(),
    "macro": macro.tolist(),
}
r = AutoReg(sun, 2, trend="c").fit()
out["autoreg"] = {"params": r.params.tolist(), "llf": r.llf, "sigma2": r.sigma2}
rho, sigma = yule_walker(sun, 3, method="mle")
out["yule_walker"] = {"phi": rho.tolist(), "variance": float(sigma**2)}


def at(name, y, order, seasonal, params, **kw):
    exog = kw.pop("exog", None)
    m = SARIMAX(y, exog=exog, order=order, seasonal_order=seasonal, **kw)
    out.setdefault("at", {})[name] = {
        "order": order,
        "seasonal": seasonal,
        "params": params,
        "names": m.param_names,
        "llf": m.loglike(np.array(params)),
    }


at("sunspots_111", sun, (1, 1, 1), (0, 0, 0, 0), [0.4, 0.2, 250.0], simple_differencing=True)
at("air_airline", air, (0, 1, 1), (0, 1, 1, 12), [-0.4, -0.55, 0.0014], simple_differencing=True)
at(
    "air_211_111",
    air,
    (2, 1, 1),
    (1, 1, 1, 12),
    [0.5, -0.2, -0.6, 0.3, -0.7, 0.0015],
    simple_differencing=True,
)
at("temp_202", temp, (2, 0, 2), (0, 0, 0, 0), [1.2, -0.3, -0.5, -0.1, 6.0], simple_differencing=True)
# missing
rng = np.random.default_rng(0)
tm = temp - temp.mean()
miss = rng.random(len(tm)) < 0.15
tm = np.where(miss, np.nan, tm)
out["temperature_missing"] = [None if np.isnan(v) else v for v in tm]
at("temp_missing_201", tm, (2, 0, 1), (0, 0, 0, 0), [1.2, -0.3, -0.5, 6.0])
am = air.copy()
am[[30, 31, 70, 100]] = np.nan
out["air_missing"] = [None if np.isnan(v) else v for v in am]
at("air_missing_airline", am, (0, 1, 1), (0, 1, 1, 12), [-0.4, -0.55, 0.0014], use_exact_diffuse=True)
am2 = am.copy()
am2[[3, 7]] = np.nan
out["air_missing_early"] = [None if np.isnan(v) else v for v in am2]
at("air_missing_early_airline", am2, (0, 1, 1), (0, 1, 1, 12), [-0.4, -0.55, 0.0014], use_exact_diffuse=True)
at("air_complete_exact_diffuse", air, (0, 1, 1), (0, 1, 1, 12), [-0.4, -0.55, 0.0014], use_exact_diffuse=True)


# fits
def fit(name, y, order, seasonal=(0, 0, 0, 0), trend="n", exog=None, steps=12, future=None, simple=True):
    m = (
        SARIMAX(y, exog=exog, order=order, seasonal_order=seasonal, trend="n", simple_differencing=simple)
        if trend == "n"
        else ARIMA(y, exog=exog, order=order, seasonal_order=seasonal, trend=trend)
    )
    r = m.fit(disp=False, maxiter=500) if trend == "n" else m.fit()
    f = None
    if trend != "n" or not simple:
        f = r.get_forecast(steps, exog=future)
    out.setdefault("fit", {})[name] = {
        "names": m.param_names,
        "params": r.params.tolist(),
        "llf": r.llf,
        "aicc": r.aicc,
        "forecast": None if f is None else np.asarray(f.predicted_mean).tolist(),
        "se": None if f is None else np.asarray(f.se_mean).tolist(),
    }


fit("air", air, (0, 1, 1), (0, 1, 1, 12))
fit("sunspots_111", sun, (1, 1, 1))
fit("sunspots_200c", sun, (2, 0, 0), trend="c")
fit("sunspots_202c", sun, (2, 0, 2), trend="c")
fit("temp_102c", temp, (1, 0, 2), trend="c")
x = np.cumsum(0.3 + np.random.default_rng(3).normal(size=200))
out["drifting"] = x.tolist()
fit("drift_111t", x, (1, 1, 1), trend="t")
fit("temp_missing_101c", tm, (1, 0, 1), trend="c")
# forecasts at given params
m = SARIMAX(air, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12))
r = m.smooth(np.array([-0.4, -0.55, 0.0014]))
f = r.get_forecast(24)
out["air_forecast"] = {"mean": f.predicted_mean.tolist(), "se": f.se_mean.tolist()}
m = SARIMAX(am2, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12), use_exact_diffuse=True)
r = m.smooth(np.array([-0.4, -0.55, 0.0014]))
f = r.get_forecast(24)
out["air_missing_forecast"] = {"mean": f.predicted_mean.tolist(), "se": f.se_mean.tolist()}
# diagnostics
r = SARIMAX(air, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12), simple_differencing=True).smooth(
    np.array([-0.4, -0.55, 0.0014])
)
res = r.standardized_forecasts_error[0]
out["residuals"] = res.tolist()
lb = acorr_ljungbox(res, lags=[12, 24], model_df=2)
out["diagnostics"] = {
    "acf": acf(res, nlags=12, fft=False).tolist(),
    "pacf": pacf(res, nlags=5, method="ldb").tolist(),
    "statistic": lb.lb_stat.tolist(),
    "p": lb.lb_pvalue.tolist(),
}
# VAR
v = VAR(macro).fit(2, trend="c")
out["var"] = {
    "params": v.params.tolist(),
    "sigma_u": v.sigma_u.tolist(),
    "sigma_u_mle": v.sigma_u_mle.tolist(),
    "llf": v.llf,
    "irf": v.irf(5).orth_irfs.tolist(),
    "granger": {
        "statistic": v.test_causality(0, [1], kind="f").test_statistic,
        "p": v.test_causality(0, [1], kind="f").pvalue,
    },
    "forecast": v.forecast(macro[-2:], 6).tolist(),
    "mse": v.mse(6).tolist(),
    "aic": v.aic,
    "roots": np.sort(np.abs(1 / v.roots))[::-1].tolist(),
}
mv = VARMAX(macro - macro.mean(0), order=(1, 0), trend="n")
p = mv.start_params
out["varmax"] = {"names": mv.param_names, "params": p.tolist(), "llf": mv.loglike(p)}
mm = macro - macro.mean(0)
q = rng.random(mm.shape) < 0.1
mm = np.where(q, np.nan, mm)
mv2 = VARMAX(mm, order=(1, 0), trend="n")
out["varmax_missing"] = {"mask": (~q).astype(int).tolist(), "llf": mv2.loglike(p)}
Path(sys.argv[2]).write_text(json.dumps(out), "utf-8")
