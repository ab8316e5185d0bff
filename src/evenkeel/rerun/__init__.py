"""The program run again from its start in a child process: to trace a step, or to prove a change of the program."""
