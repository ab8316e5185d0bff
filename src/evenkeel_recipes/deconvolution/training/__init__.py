"""From cells to trained networks: samples drawn and stored, the loop, what it leaves behind."""
