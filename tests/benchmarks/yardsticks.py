"""What ours is measured against: three servers that answer the same rows, none with a proof.

- `plain`: the app people write without us. Flask, the scikit-learn API, the standard JSON; no
  ledger, no check of inputs.
- `unaudited`: our own engine, schema and short way from the socket, with everything that makes a
  record left out.
- `naive`: the audit trail people add in an afternoon: `plain`, and per request one RFC 8785
  encoding, one Ed25519 signature, one row through the ORM, one durable commit.
"""

import os
from datetime import UTC, datetime

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


def _ready(app):
    @app.get("/readyz")
    def ready():
        return {"pid": os.getpid()}

    return app


def _scorer():
    model, names = trained(), credit_default.FEATURES

    def score(features):
        row = np.array([[features[name] for name in names]], dtype=np.float32)
        probability = float(model.predict_proba(row)[0, 1])
        return {
            "probability": probability,
            "decision": "decline" if probability > 0.35 else "approve",
        }

    return score


def plain():
    """Flask, scikit-learn API, standard JSON."""
    app, score = Flask(__name__), _scorer()

    @app.post("/predict")
    def predict():
        return score(request.get_json()["features"])

    return _ready(app)


def naive():
    """The same, with a row signed and inserted through the ORM for each request."""
    import rfc8785
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from sqlmodel import Field, Session, SQLModel

    from ledger.store import open_engine

    class Record(SQLModel, table=True):
        __tablename__ = "bench_naive"
        id: int | None = Field(default=None, primary_key=True)
        body: bytes
        signature: bytes

    engine = open_engine(f"sqlite:///{os.environ['BENCH_DIRECTORY']}/naive.db")
    SQLModel.metadata.create_all(engine, tables=[SQLModel.metadata.tables["bench_naive"]])
    app, score, key = Flask(__name__), _scorer(), Ed25519PrivateKey.generate()

    @app.post("/predict")
    def predict():
        features = request.get_json()["features"]
        answer = score(features)
        told = {"features": features, "answer": answer, "at": datetime.now(UTC).isoformat()}
        body = rfc8785.dumps(told)
        with Session(engine) as session:
            session.add(Record(body=body, signature=key.sign(body)))
            session.commit()
        return answer

    return _ready(app)


def unaudited():
    """WSGI: our engine and edge without ledger, commitments, openings and receipt."""
    import msgspec

    from houses import packages
    from models.runtime import load
    from service.api.access import strict_json
    from service.api.schemas import PredictionRequest
    from service.predict import execute

    package = packages()["credit-default"]
    predictor = load(package.manifest, package.blobs.__getitem__)
    encode = msgspec.json.Encoder(order="sorted").encode
    texts = {reason.code: reason.text for reason in predictor.reason_texts()}

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [("Content-Length", "2")])
            return [b"{}"]
        data = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        asked = PredictionRequest.model_validate(strict_json(data))
        (row,) = execute(predictor, asked.all_rows())
        answer = encode(
            {
                "decision": row.output.decision,
                "outputs": dict(row.output.values),
                "derived": predictor.derive(row.output.values),
                "reasons": [
                    {"code": w.code, "text": texts[w.code], "contribution_q16": w.contribution_q16}
                    for w in row.reasons
                ],
            }
        )
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    return app
