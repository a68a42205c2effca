"""Metrics, resampling and significance; knows no fairseq."""
