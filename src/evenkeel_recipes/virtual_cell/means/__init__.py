"""Mean profiles of conditions: measured ones, and what is to be expected of those that were never measured."""
