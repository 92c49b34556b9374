"""From a run to something that answers elsewhere: files, a server, a page, bulk, their cost."""
