"""Any store that speaks S3, as the storage port."""

from tongdai.adapters.s3.storage import BucketError, S3Bucket, S3Storage

__all__ = ["BucketError", "S3Bucket", "S3Storage"]
