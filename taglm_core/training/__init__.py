"""Settings, objectives, the loop, checkpoints and the stage scheduler."""
