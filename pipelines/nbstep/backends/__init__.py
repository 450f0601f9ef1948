"""Where runs take place: one protocol, a backend each for processes of this machine, containers and clusters."""
