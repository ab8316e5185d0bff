"""From trained networks to proportions, and how good they are beside simpler ones."""
