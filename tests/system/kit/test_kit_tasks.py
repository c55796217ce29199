"""Our own tasks, in all their variants, keep what the test kit asks of every author."""

from mtvit_core.testing import TaskSuite


class TestDet(TaskSuite):
    task = "det"
    settings = {"queries": 8}


class TestYolos(TaskSuite):
    task = "det"
    settings = {"variant": "yolos", "queries": 8}


class TestSeg(TaskSuite):
    task = "seg"
    settings = {"queries": 8}


class TestEomt(TaskSuite):
    task = "seg"
    settings = {"variant": "eomt", "queries": 8, "sampling": "dense"}


class TestEomtAtPoints(TaskSuite):
    """As published: costs and losses at random points."""

    task = "seg"
    settings = {"variant": "eomt", "queries": 8, "points": 256}
    exceptions = {
        "loss_scale": "other points are drawn for every batch",
        "absent_labels": "images without labels draw points too, so labelled ones get others",
    }


class TestPose(TaskSuite):
    task = "pose"
    settings = {"queries": 8}


class TestViTPose(TaskSuite):
    task = "pose"
    settings = {"variant": "vitpose"}


class TestViTPoseSimple(TaskSuite):
    task = "pose"
    settings = {"variant": "vitpose-simple"}


class TestViTPoseMsra(TaskSuite):
    """At full pixels, as it is trained on AIC and others."""

    task = "pose"
    settings = {"variant": "vitpose-simple", "codec": "msra"}


class TestTokenPose(TaskSuite):
    task = "pose"
    settings = {"variant": "tokenpose"}


class TestSegMaps(TaskSuite):
    """Maps beside the objects."""

    task = "seg"
    settings = {"queries": 8, "results": ["instances", "panoptic", "semantic"]}
    # No PQ: masks are resized by two, which takes a pixel off each corner.
    best = {"AP": 1.0, "RQ": 1.0, "mIoU": 1.0, "pixel_accuracy": 1.0}


class TestEomtMaps(TaskSuite):
    """Maps alone."""

    task = "seg"
    settings = {"variant": "eomt", "queries": 8, "sampling": "dense", "results": ["panoptic", "semantic"]}
    best = {"RQ": 1.0, "mIoU": 1.0}


class TestCls(TaskSuite):
    task = "cls"
    best = {"top1": 1.0, "mAP": 1.0}


class TestClsOfMany(TaskSuite):
    """Independent labels, from the class token."""

    task = "cls"
    settings = {"labels": "many", "pooling": "token", "smoothing": 0.1}
    best = {"mAP": 1.0}


class TestClsByAttention(TaskSuite):
    task = "cls"
    settings = {"pooling": "attention", "loss": "bce", "dropout": 0.1}
    best = {"top1": 1.0, "mAP": 1.0}
