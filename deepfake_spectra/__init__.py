"""What the scripts share, from the ground up: see docs/code.md."""

from deepfake_spectra import interrupts, packages

if interrupts.is_script():
    interrupts.end_at_once()  # what a script imports takes a second, in which Ctrl-C would end in a traceback
    packages.end_without(*packages.IMPORTED_AT_ONCE)
