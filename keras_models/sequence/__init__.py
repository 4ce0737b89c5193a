"""Sequence models: recurrent networks and transformers."""
