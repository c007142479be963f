"""What can go wrong, by kind; rackstart/cli.py alone turns a kind into an exit code."""


class RackstartError(Exception):
    """Base of all; the message is for a person: what is wrong, where, and what to do."""


class ConfigurationError(RackstartError):
    """The command line, the inventory or a file of the project is wrong; nothing was touched."""


class StageFailed(RackstartError):
    """At least one stage failed on at least one host."""


class PreflightRefused(RackstartError):
    """Preflight found something that has to be put right first; nothing was changed."""


class VerificationRed(RackstartError):
    """Every stage ran, but the verdict is red."""


class Locked(RackstartError):
    """Another run holds this inventory on this controller."""


class Interrupted(RackstartError):
    """The user stopped the run."""
