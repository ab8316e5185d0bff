"""Deconvolution: the cell-type proportions of bulk RNA from a labelled single-cell reference, with intervals."""
