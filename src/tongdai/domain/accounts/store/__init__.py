"""All SQL about accounts, users, projects, keys, secrets and logins."""
