"""Proportions from a signature alone: simple methods, quasi-likelihoods, and how sure they can be."""
