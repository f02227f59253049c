"""The load generator: signed transfers among funded accounts, and every outcome counted."""
