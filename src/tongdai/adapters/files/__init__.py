"""Files on the local disk: the storage port under one folder."""

from tongdai.adapters.files.storage import FileStorage

__all__ = ["FileStorage"]
