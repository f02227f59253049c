"""The commands of `trunkline`, a module for each group of them."""
