"""A broken promise of a contract, in words."""


class Breach(Exception):  # noqa: N818  (a finding about a plugin, not an error of a user)
    """A task or a backbone does not keep its contract.

    Attributes:
        found: What was found.
        remedy: What fixes it.
    """

    def __init__(self, found: str, remedy: str) -> None:
        """Keep both apart."""
        super().__init__(found)
        self.found = found
        self.remedy = remedy

    def explain(self, subject: str, check: str, contract: str) -> str:
        """Return the message an author reads.

        Args:
            subject: What is checked, as ``task 'det'``.
            check: Name of the check.
            contract: What the contract says.
        """
        return (
            f"{subject} fails the check {check!r}\n"
            f"  contract: {contract}\n"
            f"  found:    {self.found}\n"
            f"  to fix:   {self.remedy}"
        )
