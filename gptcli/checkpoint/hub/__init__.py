"""Models on the hub: found, looked at and downloaded. nothing of an answer is trusted.

Open ``models`` first. ``guard`` checks each answer before the client sees it, ``watch`` holds time and bytes.
"""
