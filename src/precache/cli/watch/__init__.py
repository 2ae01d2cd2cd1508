"""`precache job watch`: follow a job by its events, and show it on one screen."""
