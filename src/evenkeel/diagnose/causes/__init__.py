"""The causes, one file each: `CODE`, `FAMILY`, `judge(case)`, and a docstring that is the manual page."""
