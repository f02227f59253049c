"""Programs that use the instance as its users do, and note every call and answer."""
