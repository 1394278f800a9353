"""One module a golden's prefix, each with `check(stem, arrays)`."""
