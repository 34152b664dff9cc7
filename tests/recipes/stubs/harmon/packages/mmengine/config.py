import runpy


class Config(dict):
    """Keys as attributes, as deep as they go."""

    def __getattr__(self, name):
        return self[name]

    def __setattr__(self, name, value):
        self[name] = value

    @classmethod
    def fromfile(cls, path):
        return cls.of(runpy.run_path(path))

    @classmethod
    def of(cls, value):
        return cls({key: cls.of(one) for key, one in value.items()}) if isinstance(value, dict) else value
