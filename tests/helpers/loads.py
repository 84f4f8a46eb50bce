"""The load of a model of ten thousand million weights in round numbers, for arithmetic by hand."""

from recipe.checks.layer_bytes import Layers
from recipe.checks.memory import Load
from recipe.checks.weights import Weights

B = 10**9
PARTS = {"language": 7 * B, "vision": B, "projector": 0, "embeddings": B, "head": B}
NINE = Load(
    weights=Weights(PARTS, PARTS),
    each=2,
    rest=2,
    computes=2,
    optim="adamw_torch_fused",
    processes=8,
    sharding="zero3",
    batch=1,
    accumulation=8,
    tokens=16_384,
    scored=1024,
    patches=61_440,
    patch_values=1176,
    language=Layers(40, output=8192, kept=250_000, forward=120_000, backward=340_000),
    vision=Layers(24, output=3072, kept=80_000, forward=50_000, backward=100_000),
    projector=40_000,
    hidden=4096,
    vocabulary=151_552,
)
