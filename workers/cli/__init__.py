"""The commands of `trunkline`, a module for each group of them; `workers.cli.program` puts them together."""
