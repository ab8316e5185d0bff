"""What is known of an incident, for people (terminal, web page) and for programs (JSON)."""
