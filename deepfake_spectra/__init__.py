"""What the scripts share, from the ground up: see docs/code.md."""

from deepfake_spectra import interrupts

interrupts.end_at_once()  # what a script imports takes a second, in which Ctrl-C would end in a traceback
