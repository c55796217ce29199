"""A model that answers over HTTP, and the page in the browser that shows what it says."""
