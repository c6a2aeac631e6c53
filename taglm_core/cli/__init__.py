"""The commands of the `taglm` program, one small module each."""
