"""A recorded run, run again through the bundle and the envelope, and held against what was recorded, bit for bit."""
