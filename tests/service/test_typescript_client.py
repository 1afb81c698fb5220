"""The description is good enough: a TypeScript client generated from it compiles and gets decisions.

`openapi-typescript` makes the types, `tsc` checks a program of a few lines against them, node runs
it against a real server. A field that the description lacks or misnames does not compile.
"""

import json
import shutil
import subprocess

import httpx
import pytest

from houses import credit_rows, make_house
from ledger.receipt import Receipt, verify_receipt
from servers import Server, free_port
from service.auth import Scope

PACKAGES = ("openapi-typescript@7", "openapi-fetch@0.13", "typescript@5")
INSTALL_S = 200
PROGRAM = """
import createClient from "openapi-fetch";
import type { paths } from "./assay.js";
declare const process: { argv: string[] };

const [address, key, model, features] = process.argv.slice(2);
const assay = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${key}` } });

const asked = await assay.POST("/v1/predictions", {
  params: { header: { "Idempotency-Key": "order-1", "Assay-Deadline-Ms": 60000 } },
  body: { model, features: JSON.parse(features) as Record<string, number> },
});
if (!asked.data) throw new Error(JSON.stringify(asked.error));
const row = asked.data.rows[0];
const again = await assay.GET("/v1/predictions/{prediction_id}/receipt", {
  params: { path: { prediction_id: asked.data.prediction_id } },
});
if (!again.data) throw new Error(JSON.stringify(again.error));
const refused = await assay.POST("/v1/predictions", { params: {}, body: { model: "nobody", features: {} } });
console.log(JSON.stringify({
  decision: row.decision, margin: row.outputs["margin_q16"], receipt: again.data,
  refused: refused.response.status,
}));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A directory with the generator and the compiler."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    place = tmp_path_factory.mktemp("typescript")
    (place / "package.json").write_text('{"type": "module", "private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", *PACKAGES]
    try:
        run(command, place, timeout=INSTALL_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install {', '.join(PACKAGES)} here: {str(error.stderr)[-200:]}")
    return place


def run(command, place, timeout=100):
    return subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=True, timeout=timeout
    ).stdout


@pytest.mark.slow
def test_a_generated_typescript_client_gets_a_decision(node, tmp_path):
    house = make_house(tmp_path / "house", models=("credit-default",))
    key, vkey = house.callers.issue("desk", [Scope.TRADER]), house.ledger.vkey
    house.engine.dispose()
    server = Server(tmp_path / "house", free_port(), 1)
    try:
        (node / "openapi.json").write_text(httpx.get(f"{server.address}/openapi.json").text)
        run(["npx", "--no-install", "openapi-typescript", "openapi.json", "-o", "assay.d.ts"], node)
        (node / "desk.ts").write_text(PROGRAM)
        strict = ("--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
        try:
            run(["npx", "--no-install", "tsc", *strict, "--skipLibCheck", "desk.ts"], node)
        except subprocess.CalledProcessError as error:
            pytest.fail(f"it does not compile:\\n{error.stdout}")
        given = ("credit-default", json.dumps(credit_rows(1)[0]))
        told = json.loads(run(["node", "desk.js", server.address, key, *given], node))
    finally:
        server.stop()
    assert told["decision"] in {"approve", "decline"}
    assert isinstance(told["margin"], int)
    assert told["refused"] == 404
    verify_receipt(Receipt.from_json(told["receipt"]), vkey)
