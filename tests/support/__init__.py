"""What tests of the runner share: small notebooks, the command as a user types it, the checks of its promises."""
