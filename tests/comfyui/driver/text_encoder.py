"""A random UMT5 of the sizes in probes/small_umt5.json, as the one file that ComfyUI's CLIPLoader takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from .install import PACKAGES, install

SIZES = Path(__file__).parent.parent / "probes/small_umt5.json"
# sentencepiece lies in the server's packages alone; ids as in UMT5's own tokenizer
TRAINING = """
import io, sys
sys.path.append(sys.argv[1])
import sentencepiece
words = "the quick brown fox jumps over the lazy dog while a camera turns around it".split()
model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=(" ".join(words[i:] + words[:i]) for i in range(len(words))), model_writer=model,
    model_type="char", vocab_size=int(sys.argv[2]), hard_vocab_limit=False, character_coverage=1.0,
    pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
)
sys.stdout.buffer.write(model.getvalue())
"""


def write_text_encoder(file: Path) -> None:
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = json.loads(SIZES.read_text(encoding="utf-8"))
    torch.manual_seed(0)
    encoder = UMT5EncoderModel(UMT5Config(**sizes, feed_forward_proj="gated-gelu")).half()
    weights = {name: weight.clone() for name, weight in encoder.state_dict().items() if "embed_tokens" not in name}
    tokenizer = torch.frombuffer(bytearray(_tokenizer(sizes["vocab_size"])), dtype=torch.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({**weights, "spiece_model": tokenizer}, file)


def _tokenizer(vocabulary: int) -> bytes:
    install()
    command = [sys.executable, "-c", TRAINING, str(PACKAGES), str(vocabulary)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
