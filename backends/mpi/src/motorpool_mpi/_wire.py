"""How the driver and rank 0 understand each other."""

#: Of a message, the bytes that are the number of the call that it is about.
NUMBER = 8
#: Says that nothing more will come.
END = b""
