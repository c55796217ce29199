"""What the suites of tasks and of backbones share: checks are held, failures told, exceptions declared."""

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import pytest
import torch

from mtvit_core.errors import MtvitError, did_you_mean
from mtvit_core.testing.breach import Breach

C = TypeVar("C")


class BaseSuite:
    """Checks of a contract, as tests of pytest.

    Attributes:
        exceptions: Checks that are known to fail, by name without ``test_``, and why. They are run and shown
            as expected failures, and are an error once they pass.
    """

    exceptions: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse exceptions that name no check or give no reason.

        Raises:
            TypeError: there is one.
        """
        super().__init_subclass__()
        known = [name.removeprefix("test_") for name in dir(cls) if name.startswith("test_")]
        for name, reason in cls.exceptions.items():
            if name not in known:
                raise TypeError(
                    f"{cls.__name__}.exceptions names {name!r}, which is no check."
                    f"{did_you_mean(name, known)} The checks are {', '.join(known)}."
                )
            if not reason.strip():
                raise TypeError(f"{cls.__name__}.exceptions gives no reason for {name!r}; say why.")

    def run_check(self, subject: str, case: C, check: Callable[[C], None]) -> None:
        """Run one check; fail with its contract, what was found and how to fix it.

        Args:
            subject: What is checked, as ``task 'det'``.
            case: What the check is given.
            check: The check; its docstring is the contract.
        """
        name, contract = check.__name__, " ".join((check.__doc__ or "").split())
        failure = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                check(case)
            except Breach as breach:
                failure = breach.explain(subject, name, contract)
            except MtvitError as error:
                failure = Breach(str(error), "as that line says").explain(subject, name, contract)
            except Exception as error:
                if name not in self.exceptions:
                    error.add_note(f"in the check {name!r} of {subject}: {contract}")
                    raise
                failure = str(error)
        if name in self.exceptions:
            self._expected(subject, name, failure)
        elif failure is not None:
            pytest.fail(failure, pytrace=False)

    def _expected(self, subject: str, name: str, failure: str | None) -> None:
        reason = self.exceptions[name]
        if failure is not None:
            pytest.xfail(reason)
        pytest.fail(
            f"{subject} passes the check {name!r}\n"
            f"  contract: {type(self).__name__}.exceptions says that it cannot: {reason}\n"
            f"  to fix:   take {name!r} out of the exceptions",
            pytrace=False,
        )
