"""Whether what was moved is where it should be, and works there: pure judgement, and a probe of webhooks."""
