"""Models on the hub: finding, inspecting and downloading them. No answer of a hub is trusted.

Open ``models`` first, then ``cached`` for what is here already. ``guard`` checks each answer before the client sees it,
``watch`` limits time and bytes.
"""
