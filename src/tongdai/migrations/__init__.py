"""The schema, as NNNN_words.sql run in order by `tongdai.kit.migrate`."""
