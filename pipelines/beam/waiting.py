"""Adds `--no_wait` and `--wait` to Beam's own flags, so that every Beam command knows them."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


class WaitOptions(PipelineOptions):
    """Says whether a command waits for the job that it submits, or that was submitted before."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--no_wait", default=False, action="store_true", help="submit the job and return; the job finishes alone"
        )
        parser.add_argument(
            "--wait", default=False, action="store_true", help="join the job of this folder if it still runs"
        )
        parser.add_argument(
            "--give_up_seconds",
            type=float,
            default=None,
            help="cancel the job and fail if no shard was finished for so long (default: never; one hour on Beam's "
            "Prism and its Python job service, which does not report a killed worker)",
        )
