"""Devices, and how runs are placed on them."""
