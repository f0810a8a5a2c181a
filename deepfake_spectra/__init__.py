"""What the scripts share, from the ground up: see docs/code.md."""
