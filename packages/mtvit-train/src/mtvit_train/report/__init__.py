"""``report.html``: one page that shows a run, opens offline and needs nothing but the run folder."""
