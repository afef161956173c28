"""How good a model is by what it did not see: samples, features and all metrics, each number with its error bar.

evaluated  all of it of one model, as values (`evaluated.evaluate`)
kept       samples and features in shards on the disk, so that an interrupted evaluation goes on where it stopped
features   what is compared: the numbers, components, a classifier's features, a network's
numbers    every metric that applies, for all and for each class
looks      which samples are worst, and which real items the model misses
page       the same on a page, in JSON, on a run's own page and on its card
"""
