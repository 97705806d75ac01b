"""Models on the hub: finding, inspecting and downloading them. No answer of a hub is trusted.

Open ``models`` first. ``guard`` checks each answer before the client sees it, ``watch`` limits time and bytes.
"""
