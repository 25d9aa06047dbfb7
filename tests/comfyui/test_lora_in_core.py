"""ComfyUI's own LoRA loader takes the whole of a converted LoRA, with the effect that ours has."""

import json
import subprocess
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from track2view_core.wan.checkpoints import save_transformer
from track2view_core.wan.convert_lora import convert_lora
from track2view_core.wan.lora import load_lora
from track2view_core.wan.original_layout import dit_name_to_original

INPUTS = {
    "latent": torch.randn(1, 16, 3, 4, 8, generator=torch.Generator().manual_seed(1)),
    "timestep": torch.tensor([400.0]),
    "text": torch.randn(1, 7, 4096, generator=torch.Generator().manual_seed(2)),
}


def velocity(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(INPUTS["latent"], INPUTS["timestep"], INPUTS["text"]).sample


def in_core(driver, folder):
    """core's answer, and what it patched and warned of."""
    save_file(INPUTS, folder / "inputs.safetensors")
    files = [folder / f"{name}.safetensors" for name in ("model", "lora", "inputs", "output")]
    script = driver.server.PACK / "tests/comfyui/driver/apply_lora.py"
    command = [sys.executable, script, driver.install.install(), driver.install.PACKAGES, *files]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with safe_open(str(files[-1]), framework="pt") as file:
        return file.get_tensor("velocity"), json.loads(file.metadata()["told"])


def test_core_applies_every_module_of_a_converted_peft_lora(driver, tmp_path):
    transformer = driver.weights.random_transformer(layers=2)
    save_transformer(transformer, tmp_path / "model.safetensors")
    plain = velocity(transformer)
    linears = [name for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear)]
    adapted = get_peft_model(
        transformer, LoraConfig(target_modules=linears, r=4, lora_alpha=6, alpha_pattern={"to_q": 3})
    )
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn_like(weight) * 0.1
    adapted.save_pretrained(tmp_path / "peft")
    by_peft = velocity(adapted)
    convert_lora(tmp_path / "peft", tmp_path / "lora.safetensors", lora_only=True)

    by_core, told = in_core(driver, tmp_path)
    assert told["warnings"] == []
    assert told["patched"] == sorted(f"diffusion_model.{dit_name_to_original(name)}.weight" for name in linears)

    ours = adapted.unload()
    load_lora(ours, load_file(tmp_path / "lora.safetensors"))
    by_us = velocity(ours)
    assert float((by_us - plain).norm()) > 1e-2 * float(plain.norm())
    for other in (by_peft, by_core):
        assert float((by_us - other).norm()) < 1e-5 * float(by_us.norm())
