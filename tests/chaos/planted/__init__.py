"""Bugs that are planted into a copy of the tree, to see whether the checker finds them."""
