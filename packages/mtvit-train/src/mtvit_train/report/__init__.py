"""``report.html``: one page that shows a run, opens offline and needs nothing but the run folder."""

from mtvit_train.report.write import write_report as write_report
