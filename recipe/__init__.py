"""The training recipe: CPT, SFT and GRPO of a vision-language model through TRL, its evaluation and its report.

Importing this package loads no torch. It only arranges that a later `import torchvision` works on a machine
without CUDA (see `recipe.inputs.torchvision_ops`), so import it before transformers or TRL, and that module paths of
earlier versions still run (`recipe.inputs.moved`).
"""

from recipe.inputs import moved, torchvision_ops

torchvision_ops.install()
moved.install()
