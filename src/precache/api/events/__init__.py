"""Server-sent events: one reader of the store for all who follow jobs. No sockets here."""
