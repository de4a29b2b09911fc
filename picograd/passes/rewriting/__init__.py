"""Tools for changing IR that passes share: drivers, loop surgery, structural equality."""
