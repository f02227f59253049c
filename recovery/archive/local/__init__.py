"""The archive in a directory: durable files, created by hard links."""
