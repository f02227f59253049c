"""The commands of `trunkline`, one a file; each registers itself on `workers.cli.root.trunkline`."""

__all__: list[str] = []
