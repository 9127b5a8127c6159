"""Published networks to compare with, each from images (B, in_channels, H, W) in [0, 1] to logits."""
