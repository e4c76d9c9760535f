"""The sender's contract: what GOWA answers to each request, and that the stand-in for it does the same."""
