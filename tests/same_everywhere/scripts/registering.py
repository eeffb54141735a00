"""A library whose classes note down those that derive from them."""

notes = {}


class Base:
    def __init_subclass__(cls):
        super().__init_subclass__()
        notes[cls.key] = cls.__name__


class Meta(type):
    names = []

    def __init__(cls, name, bases, names):
        super().__init__(name, bases, names)
        Meta.names.append(name)


class Other(metaclass=Meta):
    pass
