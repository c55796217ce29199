"""``mtvit profile``: the price of each part."""

import json

import mtvit_core
from support.commands.command_cases import refusal, run


def test_each_task_and_all_of_them_are_priced(tmp_path):
    backbone = mtvit_core.create_backbone(
        "vit_tiny_patch16_224", (32, 48), options={"depth": 1, "embed_dim": 24}
    )
    model, out = tmp_path / "model.safetensors", tmp_path / "prices.json"
    mtvit_core.save(mtvit_core.build(backbone, {"det": {"queries": 3}, "seg": {"queries": 3}}), model)
    result = run("profile", model, "--passes", "1", "--out", out, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    prices = json.loads(out.read_text())
    assert [price["tasks"] for price in prices] == [[], ["det"], ["seg"], ["det", "seg"]]
    alone, det, seg, both = (price["parameters"] for price in prices)
    assert both - alone == (det - alone) + (seg - alone)
    assert all(price["gflops"] > 0 and price["ms"]["torch"]["p50"] > 0 for price in prices)
    assert prices[0]["gflops"] < prices[1]["gflops"] < prices[3]["gflops"]
    assert "det + seg" in result.stdout


def test_tasks_can_be_priced_before_there_is_a_model(tmp_path):
    line = ["profile", "vit_tiny_patch16_224", "--size", "32", "48", "--passes", "1", "--device", "cpu"]
    assert "det" in run(*line, "--tasks", "det").stdout
    assert refusal(*line) == (
        "error: profile vit_tiny_patch16_224: no such file; to price tasks on a backbone of this name, give "
        "--tasks."
    )
