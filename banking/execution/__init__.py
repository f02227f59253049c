"""What the VM is given and how its answers are read: see docs/execution.md."""
