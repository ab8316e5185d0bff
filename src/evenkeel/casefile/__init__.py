"""From a traced step to an incident: locate, explain, advise. Where the two stages meet."""
