"""Making ledgers: genesis blocks, forks, exports and account fixtures."""
