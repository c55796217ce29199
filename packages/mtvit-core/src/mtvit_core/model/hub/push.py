"""Upload of a model to the hub, by huggingface-hub."""

import tempfile
from pathlib import Path

from mtvit_core.arguments import require, shown
from mtvit_core.errors import CheckpointError, ConfigError, one_line
from mtvit_core.model.hub.card import About, card
from mtvit_core.model.writing import Written, write_model
from mtvit_core.published.source import is_hub_id

#: Names on the hub.
_WEIGHTS, _CARD = "model.safetensors", "README.md"


def push(
    model: Written,
    repo_id: str,
    about: About | None = None,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Upload weights and a model card in one commit; the repository is made where it is not there.

    Args:
        model: The model.
        repo_id: ``owner/name``.
        about: What its card tells beside what the model knows.
        private: Whether a repository that is made is seen by its owner alone; one that is there stays as it
            is.
        token: Access token with the right to write; by default that of ``hf auth login`` or ``HF_TOKEN``.

    Returns:
        Address of the commit.

    Raises:
        ConfigError: an argument is of another form.
        CheckpointError: the hub cannot be reached or refuses; nothing of the model is there then.
    """
    if not isinstance(repo_id, str) or not is_hub_id(repo_id):
        raise ConfigError(f"push: {shown(repo_id)} is no hub id; give owner/name.")
    require("push: about", about, (About, type(None)), "mtvit_core.About(...)")
    require("push: private", private, bool, "True or False")
    require("push: token", token, (str, type(None)), "an access token as a text")
    from huggingface_hub import CommitOperationAdd, HfApi

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / _WEIGHTS
        write_model(model, weights, {})
        text = card(model, repo_id, about or About()).encode()
        try:
            api = HfApi(token=token, library_name="mtvit")
            api.create_repo(repo_id, private=private, exist_ok=True)
            files = [CommitOperationAdd(_CARD, text), CommitOperationAdd(_WEIGHTS, weights)]
            done = api.create_commit(repo_id, files, commit_message="Upload a model of mtvit")
        except Exception as cause:  # the hub client raises errors of several libraries
            raise CheckpointError(
                f"push {repo_id}: the hub did not take it ({one_line(cause, 300)}); check the name, the "
                "connection, and that `hf auth login` or HF_TOKEN gives the right to write."
            ) from cause
    return str(done.commit_url)
