"""One living process: scheduler, committer, capabilities at work, the feed; and the facade for web and cli. asyncio begins here."""
