"""What goes in and what comes out, a file a capability."""
