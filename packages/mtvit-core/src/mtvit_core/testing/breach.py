"""A broken promise of the task contract, in words."""


class Breach(Exception):  # noqa: N818  (a finding about a plugin, not an error of a user)
    """A task does not keep the contract.

    Attributes:
        found: What was found.
        mend: What mends it.
    """

    def __init__(self, found: str, mend: str) -> None:
        """Keep both apart."""
        super().__init__(found)
        self.found = found
        self.mend = mend

    def explain(self, task: str, check: str, contract: str) -> str:
        """Return the message an author reads.

        Args:
            task: Name of the task.
            check: Name of the check.
            contract: What the contract says.
        """
        return (
            f"task {task!r} fails the check {check!r}\n"
            f"  contract: {contract}\n"
            f"  found:    {self.found}\n"
            f"  to mend:  {self.mend}"
        )
