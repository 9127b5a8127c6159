"""What a data set should be looked at for before training: flags that do not block, with the image and row of each."""
