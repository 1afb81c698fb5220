"""The yardstick: the app people write without us. Flask, the scikit-learn API, the standard JSON.

The same trained model, in the form its library loads; no ledger, no receipt, no check of inputs.
"""

import os

import numpy as np
import xgboost
from flask import Flask, request

from models.reference import credit_default
from models.reference.data import load_credit


def trained():
    """The reference recipe's booster behind the scikit-learn API."""
    data = load_credit()
    rows = data.parts["train"]
    inputs = credit_default.matrix(data, "train")
    model = xgboost.XGBClassifier(
        n_estimators=credit_default.ROUNDS,
        max_depth=4,
        learning_rate=0.06,
        subsample=0.8,
        n_jobs=1,
        random_state=credit_default.SEED,
    )
    return model.fit(inputs, data.defaulted[rows])


def create_app():
    app, model, names = Flask(__name__), trained(), credit_default.FEATURES

    @app.post("/predict")
    def predict():
        features = request.get_json()["features"]
        row = np.array([[features[name] for name in names]], dtype=np.float32)
        probability = float(model.predict_proba(row)[0, 1])
        return {
            "probability": probability,
            "decision": "decline" if probability > 0.35 else "approve",
        }

    @app.get("/readyz")
    def ready():
        return {"pid": os.getpid()}

    return app
