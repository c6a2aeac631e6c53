"""The contract suite: checks of every object that a plugin registers, one module for each kind."""
