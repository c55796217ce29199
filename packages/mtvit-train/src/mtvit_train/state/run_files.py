"""Names in the folder of a run; nothing else spells them."""

#: Settings of the run. A folder that has them holds a run.
SETTINGS = "config.json"
#: Generated scenes, where the run trains on them.
SCENES = "scenes"
#: What each task sees of every data set, and how data sets were joined.
DATA = "data.json"
#: The last checkpoints, a folder each.
CHECKPOINTS = "checkpoints"
#: Losses and metrics, a line per record.
RECORDS = "metrics.jsonl"
#: Event files of TensorBoard.
TENSORBOARD = "tensorboard"
#: Id of the run at Weights & Biases.
WANDB_ID = "wandb-id.txt"
#: The averaged weights as of the last evaluation, its metrics, and what it tells beside them.
MODEL, METRICS, DETAILS = "model.safetensors", "metrics.json", "details.json"
#: The averaged weights of a backbone that was pre-trained, as ``model.pretrained`` takes them.
BACKBONE = "backbone.safetensors"
#: Runs that train heads from the weights before and after a pre-training, a folder each.
HEADS = "heads"
#: A step that could not be made; of a process other than the first one with ``-`` and its number.
DIVERGED = "diverged"
#: Of a search: what was measured and scored, a line each; times of blocks; candidates that no other beats;
#: the best one.
SEARCH, LATENCY, FRONT, WINNER = "search.jsonl", "latency.json", "front.json", "winner.json"
#: Contact sheets.
LABELS, PREDICTIONS, WORST = "labels.png", "predictions.png", "worst.png"
#: The pictures of the contact sheets one by one, with captions.
PICTURES = "pictures"
#: The page that shows it all.
PAGE = "report.html"
#: Written last of all. A run that has it needs nothing more.
FINISHED = "finished.json"

#: What a finished run tells of, first what one looks at first.
TOLD = (PAGE, PREDICTIONS, LABELS, MODEL, METRICS)
