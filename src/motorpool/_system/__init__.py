"""What the system and the interpreter are asked for; imports nothing else of Motorpool."""
