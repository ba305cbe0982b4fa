"""awm-crank: the heartbeat of autonomous worlds on Solana."""

__version__ = "0.1.0"
