"""The training recipe: CPT, SFT and GRPO of a vision-language model through TRL, its evaluation and its report.

Importing this package loads no torch. It only arranges that a later `import torchvision` works on a machine
without CUDA (see `recipe.torchvision_ops`), so import it before transformers or TRL.
"""

from recipe import torchvision_ops

torchvision_ops.install()
