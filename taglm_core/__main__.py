"""`python -m taglm_core`: the program `taglm`, for `accelerate launch -m taglm_core run ...`."""

from taglm_core.cli.main import main

main()
